import { closeSync, fstatSync, openSync } from "node:fs";
import { asFailure } from "../failing.ts";
import { readFullySync } from "../full-io.ts";
import type { RangeSource } from "../ports.ts";

/** What a walk in short steps reads at once. */
const WINDOW = 64 * 1024;

/** An archive read in small pieces by a thread that may block. */
export class ArchiveBytes {
  readonly size: number;
  readonly #path: string;
  readonly #descriptor: number;
  readonly #window = Buffer.alloc(WINDOW);
  #windowStart = 0;
  #windowLength = 0;

  constructor(path: string) {
    this.#path = path;
    try {
      this.#descriptor = openSync(path, "r");
    } catch (error) {
      throw asFailure(error, path);
    }
    this.size = fstatSync(this.#descriptor).size;
  }

  /** Fills as much of `target` as the archive has from `offset` on; returns how many bytes that were. */
  read(offset: number, target: Uint8Array): number {
    try {
      return readFullySync(this.#descriptor, offset, target);
    } catch (error) {
      throw asFailure(error, this.#path);
    }
  }

  /** The bytes [offset, offset + length), or fewer where the archive ends. */
  slice(offset: number, length: number): Buffer {
    const bytes = Buffer.alloc(Math.max(0, Math.min(length, this.size - offset)));
    return bytes.subarray(0, this.read(offset, bytes));
  }

  /**
   * As `slice`, for walks from header to header: the bytes are valid until the next call, and steps within one window share one
   * read. A longer step reads no more than was asked for, since a large file lies in between.
   */
  step(offset: number, length: number): Buffer {
    const from = offset - this.#windowStart;
    if (from >= 0 && from + length <= this.#windowLength) return this.#window.subarray(from, from + length);
    if (length > WINDOW) return this.slice(offset, length);
    const short = from >= 0 && from < 2 * WINDOW;
    this.#windowStart = offset;
    this.#windowLength = this.read(offset, short ? this.#window : this.#window.subarray(0, length));
    return this.#window.subarray(0, Math.min(length, this.#windowLength));
  }

  /** The bytes [offset, offset + size) in pieces of up to 1 MiB. */
  async *chunks(offset: number, size: number): AsyncGenerator<Uint8Array> {
    for (let done = 0; done < size; ) {
      const bytes = this.slice(offset + done, Math.min(1024 * 1024, size - done));
      if (bytes.length === 0) return;
      yield bytes;
      done += bytes.length;
    }
  }

  /** Part of the archive as a source of its own; reading beyond the archive's end gives zeros, which no digest will fit. */
  range(offset: number, size: number): RangeSource {
    return {
      size,
      read: async (at, target) => {
        const filled = this.read(offset + at, target);
        target.fill(0, filled);
      },
      close: async () => undefined,
    };
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
