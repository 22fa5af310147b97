import type { Finding } from "../../src-contract/findings.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { DigestAlgorithm, DigestResult } from "../digest/hash-pool.ts";

/** What stands for a file's size when it is listed somewhere but not there. */
const ABSENT = -1;

/** The files of a bag by number, kept in columns: a million of them must fit into memory. Paths are relative to the bag, with `/`. */
export class Inventory {
  readonly #paths: string[] = [];
  readonly #sizes: number[] = [];
  readonly #places: number[] = [];
  readonly #byPath = new Map<string, number>();
  /** Folders that could not be read, each with a `/` at its end. */
  readonly #unread: string[] = [];
  /** NFC form of each name that is not ASCII; made when first asked for. */
  #byForm: Map<string, number> | null = null;

  /** How many numbers are given out, absent files included. */
  get count(): number {
    return this.#paths.length;
  }

  /** Adds a file that is there. `place` is whatever its source finds it by. Returns its number. */
  add(path: string, size: number, place = 0): number {
    const file = this.#paths.length;
    this.#paths.push(path);
    this.#sizes.push(size);
    this.#places.push(place);
    this.#byPath.set(path, file);
    return file;
  }

  /** Gives a number to a file that a manifest or fetch.txt names and that is not there. */
  addAbsent(path: string): number {
    // A copy: as a piece of the manifest's text, the name would keep all of that in memory.
    const encoding = isAscii(path) ? "latin1" : "utf16le";
    return this.add(Buffer.from(path, encoding).toString(encoding), ABSENT);
  }

  addUnreadFolder(path: string): void {
    this.#unread.push(`${path}/`);
  }

  /** False: files may be there that nobody could see. */
  get isComplete(): boolean {
    return this.#unread.length === 0;
  }

  /** Whether a file that was not seen may be there all the same. */
  mayBeUnread(path: string): boolean {
    return this.#unread.some((folder) => path.startsWith(folder));
  }

  path(file: number): string {
    return this.#paths[file] ?? "";
  }

  /** Bytes; 0 for an absent file. */
  size(file: number): number {
    return Math.max(0, this.#sizes[file] ?? 0);
  }

  place(file: number): number {
    return this.#places[file] ?? 0;
  }

  isPresent(file: number): boolean {
    return (this.#sizes[file] ?? ABSENT) !== ABSENT;
  }

  isPayload(file: number): boolean {
    return this.path(file).startsWith("data/");
  }

  find(path: string): number | undefined {
    return this.#byPath.get(path);
  }

  /** Finds a file that is there by a name that may be spelled in another Unicode normalisation form (RFC 8493, section 6.1.1.3). */
  findByForm(path: string): number | undefined {
    if (this.#byForm === null) {
      this.#byForm = new Map();
      for (const [file, name] of this.#paths.entries()) {
        if (!isAscii(name) && this.isPresent(file)) this.#byForm.set(name.normalize("NFC"), file);
      }
    }
    return this.#byForm.get(path.normalize("NFC"));
  }
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i += 1) if (text.charCodeAt(i) > 127) return false;
  return true;
}

/** Which files to digest, and who hears of each result. Results may come in any order. */
export interface DigestWork {
  readonly files: Uint32Array;
  readonly algorithms: (file: number) => readonly DigestAlgorithm[];
  readonly onResult: (file: number, result: DigestResult) => void;
}

/** A bag in one of its forms. All methods throw FailureError where the form itself cannot be read. */
export interface BagSource {
  readonly form: "folder" | "tar" | "tar.gz" | "zip";
  readonly bagName: string;
  readonly inventory: Inventory;
  readonly hasPayloadFolder: boolean;
  /** What was found while the files were listed. */
  readonly findings: readonly Finding[];
  /** The bytes of a file for which `isReadAsText` holds; others may not be kept. */
  readText(file: number): AsyncIterable<Uint8Array>;
  /** `onBytes` hears of bytes read, in sum all. */
  digest(
    work: DigestWork,
    options: Pick<CallOptions, "signal"> & { readonly onBytes: (bytes: number) => void },
  ): Promise<void>;
  close(): Promise<void>;
}

/** The tag files that a validator reads and not only digests (RFC 8493, section 2). */
export function isReadAsText(path: string): boolean {
  return /^(bagit|bag-info|package-info|fetch|(tag)?manifest-[^/]*)\.txt$/i.test(path);
}
