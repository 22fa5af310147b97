import type { Failure } from "../src-contract/failure.ts";

/** What the CLI needs of standard output and standard error. */
export interface TextStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string, done: (error?: Error | null) => void): boolean;
  on(event: "error", listener: (error: Error) => void): unknown;
}

/** Standard output: results are text, but for an artifact's bytes. */
export interface ResultStream extends TextStream {
  write(result: string | Uint8Array, done: (error?: Error | null) => void): boolean;
}

/** Standard output could not be written: a full disk behind a redirection, a terminal that went away. */
export class OutputError extends Error {
  readonly failure: Failure;
  constructor(cause: Error) {
    super(cause.message, { cause });
    this.name = "OutputError";
    const full = systemCode(cause) === "ENOSPC";
    this.failure = {
      code: full ? "DISK_FULL" : "WRITE_REFUSED",
      message: `The output could not be written (${cause.message}).`,
      nextStep: full ? "Free some space and run the command again." : "Check where the output goes.",
    };
  }
}

function systemCode(error: Error): unknown {
  return Reflect.get(error, "code");
}

/**
 * Results go to standard output, all else to standard error. A write is over when the stream took the bytes, so nothing is
 * cut off when the process ends. A reader that went away (`| head`) is no fault: from then on results are dropped.
 */
export class Output {
  readonly errors: TextStream;
  readonly #results: ResultStream;
  #closed = false;

  constructor(results: ResultStream, errors: TextStream) {
    this.#results = results;
    this.errors = errors;
    // The callback of each write tells what happened; the listener keeps the event from ending the process.
    results.on("error", (error) => this.#noteClosed(error));
    errors.on("error", (error) => this.#noteClosed(error));
  }

  /** True once nobody reads the results any more. */
  get closed(): boolean {
    return this.#closed;
  }

  get resultsAreTerminal(): boolean {
    return this.#results.isTTY === true;
  }

  /** Of the terminal that shows the results; 80 x 24 where it does not tell. */
  get resultSize(): { readonly columns: number; readonly rows: number } {
    return { columns: this.#results.columns || 80, rows: this.#results.rows || 24 };
  }

  /** Writes results. Throws OutputError when they cannot be written for another reason than a reader that left. */
  async result(text: string): Promise<void> {
    await this.#write(text);
  }

  async #write(result: string | Uint8Array): Promise<void> {
    if (this.#closed) return;
    const error = await write(this.#results, result);
    if (error === null || this.#noteClosed(error)) return;
    throw new OutputError(error);
  }

  /** As `result`, for bytes that are no text. */
  async bytes(bytes: Uint8Array): Promise<void> {
    await this.#write(bytes);
  }

  /** Writes a note for the person. Where standard error itself cannot be written there is nobody left to tell. */
  async note(text: string): Promise<void> {
    await write(this.errors, text);
  }

  #noteClosed(error: Error): boolean {
    const code = systemCode(error);
    const left = code === "EPIPE" || code === "ERR_STREAM_DESTROYED";
    if (left) this.#closed = true;
    return left;
  }
}

function write(stream: ResultStream, text: string | Uint8Array): Promise<Error | null> {
  return new Promise((resolve) => {
    stream.write(text, (error) => resolve(error ?? null));
  });
}
