import type { Outcome } from "../src-contract/failure.ts";

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
  on(event: "data", listener: (typed: string) => void): unknown;
  off(event: "data", listener: (typed: string) => void): unknown;
}

interface SecretTerminal {
  readonly input: SecretInput;
  readonly prompt: { write(text: string): boolean };
}

/** Asks for a secret on the terminal; what is typed is not shown. Without a terminal it is a Failure that names the other way. */
export function askSecret(prompt: string, terminal: SecretTerminal): Promise<Outcome<string>> {
  const { input } = terminal;
  if (!input.isTTY) {
    return Promise.resolve({
      ok: false,
      failure: {
        code: "KEY_UNUSABLE",
        message: "The signing key needs its passphrase, and there is no terminal to ask for it.",
        nextStep: "Set STRONGROOM_KEY_PASSPHRASE, or run the command in a terminal.",
      },
    });
  }
  terminal.prompt.write(prompt);
  input.setRawMode(true);
  input.setEncoding("utf8");
  input.resume();
  return new Promise((resolve) => {
    let secret = "";
    const finish = (outcome: Outcome<string>) => {
      input.off("data", onData);
      input.setRawMode(false);
      input.pause();
      terminal.prompt.write("\n");
      resolve(outcome);
    };
    const onData = (typed: string) => {
      for (const character of typed) {
        if (ENTER.has(character)) return finish({ ok: true, value: secret });
        if (character === INTERRUPT) {
          return finish({
            ok: false,
            failure: {
              code: "CANCELLED",
              message: "Stopped at your request.",
              nextStep: "Run the same command again to go on.",
            },
          });
        }
        if (BACKSPACE.has(character)) secret = [...secret].slice(0, -1).join("");
        else if (character === KILL_LINE) secret = "";
        else secret += character;
      }
    };
    input.on("data", onData);
  });
}
