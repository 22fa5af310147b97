import type { Failure, Outcome } from "../src-contract/failure.ts";
import { askSecret, type SecretTerminal, STOPPED } from "./ask-secret.ts";
import { visible } from "./terminal-text.ts";

export interface StoreSecret {
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface WantedSecret {
  readonly accessKeyId: string;
  /** Ask for a session token too. */
  readonly sessionToken: boolean;
}

/** Far above a secret and the longest session token (64 KiB in the contract): more is not what was meant. */
const LONGEST_INPUT = 128 * 1024;
/** Milliseconds without a byte on standard input after which nobody is taken to be writing there. */
const SILENCE = 60_000;

/**
 * The secret of an access key: asked for on the terminal, unseen; where standard input is none, its first line, and in a second line the
 * session token. Line ends are no part of them. Never from the command line, which all processes can read.
 */
export async function askStoreSecret(
  wanted: WantedSecret,
  terminal: SecretTerminal,
  silence = SILENCE,
): Promise<Outcome<StoreSecret>> {
  const given = terminal.input.isTTY
    ? await typedLines(wanted, terminal)
    : await inputLines(terminal, silence);
  return given.ok ? storeSecret(given.value, wanted) : given;
}

async function typedLines(
  { accessKeyId, sessionToken }: WantedSecret,
  terminal: SecretTerminal,
): Promise<Outcome<readonly string[]>> {
  const prompts = [`Secret access key of ${visible(accessKeyId)}: `];
  if (sessionToken) prompts.push("Session token: ");
  const lines: string[] = [];
  for (const prompt of prompts) {
    const asked = await askSecret(prompt, terminal, NOTHING_GIVEN);
    if (!asked.ok) return asked;
    lines.push(asked.value);
  }
  return { ok: true, value: lines };
}

/** The lines of standard input up to its end, without blank ones at the end. */
function inputLines({ input, signal }: SecretTerminal, silence: number): Promise<Outcome<readonly string[]>> {
  if (signal.aborted) return Promise.resolve({ ok: false, failure: STOPPED });
  return new Promise((resolve) => {
    let text = "";
    const finish = (outcome: Outcome<readonly string[]>) => {
      clearTimeout(timer);
      input.off("data", onData);
      input.off("end", onEnd);
      input.off("error", onError);
      signal.removeEventListener("abort", onStop);
      input.pause();
      resolve(outcome);
    };
    const onStop = () => finish({ ok: false, failure: STOPPED });
    const onError = (error: Error) => finish({ ok: false, failure: unreadable(error) });
    const onData = (more: string) => {
      clearTimeout(timer);
      text += more;
      if (text.length > LONGEST_INPUT) finish({ ok: false, failure: NOT_A_SECRET });
    };
    const onEnd = () => {
      const lines = text
        .replace(/^\ufeff/, "")
        .replace(/[\r\n]+$/, "")
        .split(/\r\n|\r|\n/);
      finish({ ok: true, value: lines });
    };
    const timer = setTimeout(() => finish({ ok: false, failure: NOTHING_GIVEN }), silence);
    input.setEncoding("utf8");
    input.on("data", onData);
    input.on("end", onEnd);
    input.on("error", onError);
    signal.addEventListener("abort", onStop, { once: true });
    input.resume();
  });
}

function storeSecret(lines: readonly string[], wanted: WantedSecret): Outcome<StoreSecret> {
  const [secretAccessKey = "", sessionToken = "", ...more] = lines;
  const refuse = (failure: Failure) => ({ ok: false as const, failure });
  if (secretAccessKey === "") return refuse(NOTHING_GIVEN);
  if (more.length > 0 || lines.some((line) => CONTROL_CHARACTER.test(line))) return refuse(NOT_A_SECRET);
  if (sessionToken !== "") return { ok: true, value: { secretAccessKey, sessionToken } };
  return wanted.sessionToken ? refuse(NO_TOKEN) : { ok: true, value: { secretAccessKey } };
}
const CONTROL_CHARACTER = /\p{Cc}/u;

function unreadable(error: Error): Failure {
  return {
    code: "INVALID_INPUT",
    message: `Standard input cannot be read (${error.message}).`,
    nextStep: NOTHING_GIVEN.nextStep,
  };
}

const NOTHING_GIVEN: Failure = {
  code: "INVALID_INPUT",
  message: "No secret access key was given.",
  nextStep:
    "Run the command in a terminal, which asks for it, or give it on standard input: one line, and a session token in a second one.",
};
const NO_TOKEN: Failure = {
  code: "INVALID_INPUT",
  message: "No session token was given.",
  nextStep:
    "Type it when asked, or give it in the second line of standard input; or leave out --with-session-token.",
};
const NOT_A_SECRET: Failure = {
  code: "INVALID_INPUT",
  message:
    "What was given is no secret access key: it has more than two lines, control characters, or too many of them.",
  nextStep: "Give the secret access key in one line, and a session token, if there is one, in a second one.",
};
