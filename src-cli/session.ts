import type { Command } from "commander";
import type { Failure, Outcome } from "../src-contract/failure.ts";
import type { CallOptions } from "../src-contract/progress.ts";
import type { Request, RequestName, VaultApi } from "../src-contract/vault-api.ts";
import type { StoreSecret, WantedSecret } from "./ask-store-secret.ts";
import { failureText, warningText } from "./failure-text.ts";
import { jsonChunks } from "./json-text.ts";
import type { Output } from "./output.ts";
import { type Paint, painter } from "./paint.ts";
import { progressOnTerminal } from "./progress-line.ts";

/** 0 done or valid, 1 verification failed, 2 could not be done or verified. */
export type ExitCode = 0 | 1 | 2;

export type OpenedVault = VaultApi & { close(): Promise<void> };

/** Everything that a command needs from outside itself; tests bring their own. */
export interface Surroundings {
  readonly output: Output;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  /** Milliseconds on a clock that only goes forward. */
  readonly now: () => number;
  /** `first` is the call that will come; `credentials` (`env`, `profile:NAME`) is where S3 vaults get theirs in this run. */
  readonly openVault: (first: RequestName, credentials: string | undefined) => Promise<Outcome<OpenedVault>>;
  /** Standard input; it is opened only when it is read. */
  readonly input: () => AsyncIterable<Uint8Array>;
  /** Asks for a secret on the terminal without showing it. */
  readonly askSecret: (prompt: string, withoutTerminal: Failure) => Promise<Outcome<string>>;
  /** Asks on the terminal, or reads standard input where that is none. */
  readonly askStoreSecret: (wanted: WantedSecret) => Promise<Outcome<StoreSecret>>;
}

/** What a command asks of the vault and how its answer is shown. */
export interface Job<N extends RequestName, V> {
  readonly name: N;
  readonly request: Request<N>;
  call(vault: VaultApi, request: Request<N>, options: CallOptions): Promise<Outcome<V>>;
  text(value: V, paint: Paint): string | Iterable<string>;
  /** For answers that are no plain success: the exit code, or a failure that takes the answer's place in --json. */
  judge?(value: V): ExitCode | Failure;
  /** First line among the results when there is no answer. */
  readonly failureHeading?: (failure: Failure) => string;
}

/** One run of the program: opens the vault, calls it, prints the answer, keeps the exit code. */
export class Session {
  readonly surroundings: Surroundings;
  readonly output: Output;
  exitCode: ExitCode = 0;

  constructor(surroundings: Surroundings) {
    this.surroundings = surroundings;
    this.output = surroundings.output;
  }

  /** Calls the vault once and prints the answer as text or JSON. */
  async perform<N extends RequestName, V>(command: Command, job: Job<N, V>): Promise<void> {
    const { name, request } = job;
    const outcome = await this.withVault(command, name, request, (vault, options) =>
      job.call(vault, request, options),
    );
    if (!outcome.ok)
      return await this.fail(wantsJson(command), outcome.failure, job.failureHeading?.(outcome.failure));
    const judged = job.judge?.(outcome.value) ?? 0;
    const answer: Outcome<V> = typeof judged === "number" ? outcome : { ok: false, failure: judged };
    this.exitCode = typeof judged === "number" ? judged : 2;
    if (wantsJson(command)) return await this.#printJson(answer);
    const text = job.text(outcome.value, painter(this.output, this.surroundings.env));
    for (const piece of typeof text === "string" ? [text] : text) await this.output.result(piece);
    for (const warning of outcome.warnings ?? []) await this.output.note(warningText(warning));
    // The text says all that the failure's details hold.
    if (typeof judged !== "number") await this.output.note(failureText({ ...judged, details: undefined }));
  }

  /** Checks a request, opens the vault for `work`, shows its progress, and closes the vault whatever happens. */
  async withVault<N extends RequestName, V>(
    command: Command,
    name: N,
    request: Request<N>,
    work: (vault: VaultApi, options: CallOptions) => Promise<Outcome<V>>,
  ): Promise<Outcome<V>> {
    // Loaded here because the schemas are half of the start-up time, and help needs none of them.
    const { checkCredentials, checkRequest } = await import("./request-check.ts");
    const notAccepted =
      checkRequest(name, request, command) ?? checkCredentials(credentialsOf(command), command);
    if (notAccepted !== null) return { ok: false, failure: notAccepted };
    const opened = await this.surroundings.openVault(name, credentialsOf(command));
    if (!opened.ok) return opened;
    const { signal, now } = this.surroundings;
    const dumb = this.surroundings.env.TERM === "dumb";
    const onTerminal = this.output.errors.isTTY === true && !dumb && !wantsJson(command);
    const progress = onTerminal ? progressOnTerminal(this.output.errors, now) : null;
    try {
      return await work(opened.value, {
        signal,
        ...(progress === null ? {} : { onProgress: progress.report, onWait: progress.wait }),
      });
    } finally {
      progress?.erase();
      await opened.value.close();
    }
  }

  /** Prints why it was not done, and sets the exit code: 1 where a verification failed, else 2. */
  async fail(json: boolean, failure: Failure, heading?: string): Promise<void> {
    this.exitCode = failure.code === "NOT_VALID" ? 1 : 2;
    if (json) return await this.#printJson({ ok: false, failure });
    if (heading !== undefined) await this.output.result(`${heading}\n`);
    await this.output.note(failureText(failure));
  }

  async #printJson(answer: Outcome<unknown>): Promise<void> {
    for (const chunk of jsonChunks(answer)) await this.output.result(chunk);
    await this.output.result("\n");
  }
}

/** Whether the user asked for JSON, before or after the command's name. */
export function wantsJson(command: Command): boolean {
  return command.optsWithGlobals().json === true;
}

/** What `--credentials` says, before or after the command's name. */
export function credentialsOf(command: Command): string | undefined {
  const given: unknown = command.optsWithGlobals().credentials;
  return typeof given === "string" ? given : undefined;
}
