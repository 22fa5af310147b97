import { createHash, type Hash } from "node:crypto";
import { closeSync, openSync, unlinkSync } from "node:fs";
import type { FileRecord, ManifestHeader, Omission } from "../../src-contract/manifest.ts";
import { asFailure, type FailureError, fail } from "../failing.ts";
import { writeFullySync } from "../full-io.ts";
import {
  closingLine,
  type ListName,
  MAX_LINE_BYTES,
  omissionText,
  openingLine,
  recordText,
} from "./manifest-layout.ts";
import { comparePaths } from "./path-order.ts";

/** Text is handed to the operating system in pieces of about this many UTF-16 units. */
const FLUSH_LENGTH = 64 * 1024;

export interface ManifestOptions {
  /** Compute the SHA-512 of manifest.json too. */
  readonly sha512?: boolean;
}

export interface WrittenManifest {
  /** Bytes. */
  readonly size: number;
  readonly sha256: string;
  /** Null unless asked for. */
  readonly sha512: string | null;
}

/**
 * Creates manifest.json at `file`, which must not exist (PATH_EXISTS), and writes everything before its file records.
 * The lists are written in the order in which they come. Throws INVALID_INPUT when the header does not fit on one line.
 * On a failure here or in a later call nothing is left at `file`.
 */
export async function createManifestWriter(
  file: string,
  header: ManifestHeader,
  emptyFolders: Iterable<string> | AsyncIterable<string>,
  omitted: Iterable<Omission> | AsyncIterable<Omission>,
  options: ManifestOptions = {},
): Promise<ManifestWriter> {
  const writer = new ManifestWriter(file, header, options);
  try {
    await writer.list("emptyFolders", emptyFolders, (path) => JSON.stringify(path));
    await writer.list("omitted", omitted, omissionText);
    writer.open("files");
    return writer;
  } catch (error) {
    writer.discard();
    throw error;
  }
}

/** A manifest being written. Not durable, and not to be read by anyone, until `finish` has returned. */
export class ManifestWriter {
  readonly #file: string;
  readonly #header: ManifestHeader;
  readonly #sha256: Hash = createHash("sha256");
  readonly #sha512: Hash | null;
  #descriptor: number | null;
  #pending = "";
  #size = 0;
  #first = true;
  #lastPath = "";
  #files = 0;
  #payload = 0;

  /** For createManifestWriter only. */
  constructor(file: string, header: ManifestHeader, options: ManifestOptions) {
    const line = `${JSON.stringify(header).slice(0, -1)},`;
    if (Buffer.byteLength(line) > MAX_LINE_BYTES) {
      throw fail(
        "INVALID_INPUT",
        `Title, sources and metadata together are larger than ${MAX_LINE_BYTES} bytes.`,
        "Put long texts into a file of the package instead.",
      );
    }
    this.#file = file;
    this.#header = header;
    this.#sha512 = options.sha512 === true ? createHash("sha512") : null;
    this.#pending = line;
    try {
      this.#descriptor = openSync(file, "wx", 0o644);
    } catch (error) {
      throw asFailure(error, file);
    }
  }

  /**
   * Adds one file. Records must come in strictly ascending bytewise order of path, each valid by fileRecordSchema;
   * order is checked, the rest is left to the types, since this runs once per file.
   */
  add(record: FileRecord): void {
    if (comparePaths(this.#lastPath, record.path) >= 0) {
      throw this.#fault(`${record.path} does not follow ${this.#lastPath}`);
    }
    const text = recordText(record);
    if (text.length * 3 > MAX_LINE_BYTES && Buffer.byteLength(text) > MAX_LINE_BYTES) {
      throw this.#fault(`${record.path} does not fit on one line`);
    }
    this.#entry(text);
    this.#lastPath = record.path;
    this.#files++;
    this.#payload += record.size;
  }

  /** Ends the manifest. It survives power loss only once the caller has synced the file and its folder. Throws INTERNAL when the header promised other totals. */
  finish(): WrittenManifest {
    if (this.#files !== this.#header.fileCount || this.#payload !== this.#header.payloadSize) {
      throw this.#fault(
        `${this.#files} files of ${this.#payload} bytes were added where ${this.#header.fileCount} of ${this.#header.payloadSize} were announced`,
      );
    }
    this.close("files");
    this.#pending += "\n";
    this.#flush();
    const descriptor = this.#descriptor;
    if (descriptor === null) throw this.#fault("it was finished before");
    try {
      this.#descriptor = null;
      closeSync(descriptor);
    } catch (error) {
      throw this.#failed(error);
    }
    return {
      size: this.#size,
      sha256: this.#sha256.digest("hex"),
      sha512: this.#sha512?.digest("hex") ?? null,
    };
  }

  /** Gives up: closes and removes the file. Does nothing after `finish` or an earlier failure. */
  discard(): void {
    if (this.#descriptor === null) return;
    const descriptor = this.#descriptor;
    this.#descriptor = null;
    closeSync(descriptor);
    unlinkSync(this.#file);
  }

  async list<T>(
    name: ListName,
    entries: Iterable<T> | AsyncIterable<T>,
    text: (entry: T) => string,
  ): Promise<void> {
    this.open(name);
    for await (const entry of entries) this.#entry(text(entry));
    this.close(name);
  }

  open(list: ListName): void {
    this.#pending += `\n${openingLine(list)}`;
    this.#first = true;
  }

  close(list: ListName): void {
    this.#pending += `\n${closingLine(list)}`;
  }

  #entry(text: string): void {
    this.#pending += this.#first ? `\n${text}` : `,\n${text}`;
    this.#first = false;
    if (this.#pending.length >= FLUSH_LENGTH) this.#flush();
  }

  #flush(): void {
    if (this.#descriptor === null) throw this.#fault("it was finished or given up before");
    const bytes = Buffer.from(this.#pending, "utf8");
    this.#pending = "";
    this.#sha256.update(bytes);
    this.#sha512?.update(bytes);
    this.#size += bytes.length;
    try {
      writeFullySync(this.#descriptor, bytes);
    } catch (error) {
      throw this.#failed(error);
    }
  }

  #failed(error: unknown): FailureError {
    this.discard();
    return asFailure(error, this.#file);
  }

  #fault(what: string): FailureError {
    this.discard();
    return fail(
      "INTERNAL",
      `manifest.json cannot be written: ${what}.`,
      "Run the command again; if it happens again, report it with this message.",
      { subject: this.#file },
    );
  }
}
