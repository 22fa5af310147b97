import type { Failure, Outcome } from "../src-contract/failure.ts";
import { requestSchemas, type VaultApi } from "../src-contract/vault-api.ts";
import type { StoreSecret, WantedSecret } from "./ask-store-secret.ts";
import { Output, type TextStream } from "./output.ts";
import { run } from "./run.ts";
import type { OpenedVault } from "./session.ts";

export const notAsked: Failure = {
  code: "INTERNAL",
  message: "This test does not ask for it.",
  nextStep: "None.",
};

/** A vault that answers only what a test gives it; it remembers that it was closed. */
export function fakeVault(answers: Partial<VaultApi>): OpenedVault & { readonly closed: () => boolean } {
  let isClosed = false;
  const refuse = async () => ({ ok: false as const, failure: notAsked });
  const refuseAll = Object.fromEntries(
    Object.keys(requestSchemas).map((name) => [name, refuse]),
  ) as unknown as VaultApi;
  return {
    ...refuseAll,
    ...answers,
    close: async () => {
      isClosed = true;
    },
    closed: () => isClosed,
  };
}

interface StreamOptions {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly error?: Error;
}

function textStream(options: StreamOptions = {}): TextStream & { text: string } {
  const stream = {
    text: "",
    isTTY: options.isTTY ?? false,
    columns: options.columns ?? 80,
    write(text: string | Uint8Array, done: (error?: Error | null) => void) {
      if (options.error === undefined) stream.text += Buffer.from(text).toString();
      done(options.error ?? null);
      return true;
    },
    on: () => undefined,
  };
  return stream;
}

interface RunOptions {
  readonly vault?: OpenedVault;
  readonly out?: StreamOptions;
  readonly err?: StreamOptions;
  readonly env?: NodeJS.ProcessEnv;
  readonly secret?: string;
  /** What stands on standard input. */
  readonly input?: string;
  readonly storeSecret?: Outcome<StoreSecret>;
}

/** Runs one command line against a vault of the test, and answers with all that it wrote. */
export async function strongroom(argv: readonly string[], options: RunOptions = {}) {
  const out = textStream(options.out);
  const err = textStream(options.err);
  let time = 0;
  let credentials: string | undefined;
  const asked: WantedSecret[] = [];
  const exitCode = await run(argv, {
    output: new Output(out, err),
    env: options.env ?? {},
    signal: new AbortController().signal,
    now: () => {
      time += 1000;
      return time;
    },
    openVault: async (_first, given) => {
      credentials = given;
      return { ok: true, value: options.vault ?? fakeVault({}) };
    },
    input: async function* () {
      yield Buffer.from(options.input ?? "");
    },
    askSecret: async () => ({ ok: true, value: options.secret ?? "" }),
    askStoreSecret: async (wanted) => {
      asked.push(wanted);
      return options.storeSecret ?? { ok: true, value: { secretAccessKey: "typed" } };
    },
  });
  return { exitCode, out: out.text, err: err.text, credentials, asked };
}
