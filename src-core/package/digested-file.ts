import { createHash, type Hash } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import { writeFullySync } from "../full-io.ts";

const FLUSH_LENGTH = 1024 * 1024;

export interface FileDigests {
  readonly size: number;
  readonly sha256: string;
  /** Null unless asked for. */
  readonly sha512: string | null;
}

/** A new text file whose digests are computed as it is written. For worker threads: it writes synchronously. */
export class DigestedFile {
  readonly #descriptor: number;
  readonly #sha256: Hash = createHash("sha256");
  readonly #sha512: Hash | null;
  #pending = "";
  #size = 0;

  constructor(path: string, sha512: boolean) {
    this.#descriptor = openSync(path, "wx", 0o644);
    this.#sha512 = sha512 ? createHash("sha512") : null;
  }

  write(text: string): void {
    this.#pending += text;
    if (this.#pending.length >= FLUSH_LENGTH) this.#flush();
  }

  /** Survives power loss only once the caller has synced the file and its folder. */
  finish(): FileDigests {
    this.#flush();
    closeSync(this.#descriptor);
    return {
      size: this.#size,
      sha256: this.#sha256.digest("hex"),
      sha512: this.#sha512?.digest("hex") ?? null,
    };
  }

  #flush(): void {
    const bytes = Buffer.from(this.#pending);
    this.#pending = "";
    this.#sha256.update(bytes);
    this.#sha512?.update(bytes);
    this.#size += bytes.length;
    writeFullySync(this.#descriptor, bytes);
  }
}
