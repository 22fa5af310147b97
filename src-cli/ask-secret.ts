import type { Failure, Outcome } from "../src-contract/failure.ts";

const ENTER = new Set(["\r", "\n", "\u0004"]);
const BACKSPACE = new Set(["\u007f", "\b"]);
const INTERRUPT = "\u0003";
const KILL_LINE = "\u0015";

/** What asking needs of standard input. */
export interface SecretInput {
  readonly isTTY: boolean;
  setRawMode(raw: boolean): unknown;
  setEncoding(encoding: "utf8"): unknown;
  resume(): unknown;
  pause(): unknown;
  on(event: "data" | "end", listener: (typed: string) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  off(event: "data" | "end", listener: (typed: string) => void): unknown;
  off(event: "error", listener: (error: Error) => void): unknown;
}

export interface SecretTerminal {
  readonly input: SecretInput;
  readonly prompt: { write(text: string): boolean };
  /** Ends the asking: what a signal from outside does. */
  readonly signal: AbortSignal;
}

/** What to answer where there is no terminal to ask on. */
export const NO_TERMINAL_FOR_PASSPHRASE: Failure = {
  code: "KEY_UNUSABLE",
  message: "The signing key needs its passphrase, and there is no terminal to ask for it.",
  nextStep: "Set STRONGROOM_KEY_PASSPHRASE, or run the command in a terminal.",
};

export const STOPPED: Failure = {
  code: "CANCELLED",
  message: "Stopped at your request.",
  nextStep: "Run the same command again to go on.",
};

/** Asks for a secret on the terminal; what is typed is not shown. Without a terminal the answer is the Failure given for that. */
export function askSecret(
  prompt: string,
  terminal: SecretTerminal,
  withoutTerminal: Failure,
): Promise<Outcome<string>> {
  const { input, signal } = terminal;
  if (!input.isTTY) return Promise.resolve({ ok: false, failure: withoutTerminal });
  if (signal.aborted) return Promise.resolve({ ok: false, failure: STOPPED });
  // Before the prompt: whoever types at once is not shown either.
  input.setRawMode(true);
  terminal.prompt.write(prompt);
  input.setEncoding("utf8");
  input.resume();
  return new Promise((resolve) => {
    let secret = "";
    const finish = (outcome: Outcome<string>) => {
      input.off("data", onData);
      input.off("end", onStop);
      signal.removeEventListener("abort", onStop);
      input.setRawMode(false);
      input.pause();
      terminal.prompt.write("\n");
      resolve(outcome);
    };
    const onStop = () => finish({ ok: false, failure: STOPPED });
    const onData = (typed: string) => {
      for (const character of typed) {
        if (ENTER.has(character)) return finish({ ok: true, value: secret });
        if (character === INTERRUPT) return onStop();
        if (BACKSPACE.has(character)) secret = [...secret].slice(0, -1).join("");
        else if (character === KILL_LINE) secret = "";
        else secret += character;
      }
    };
    input.on("data", onData);
    input.on("end", onStop);
    signal.addEventListener("abort", onStop, { once: true });
  });
}
