import { isDeepStrictEqual } from "node:util";
import { MANIFEST_FORMAT } from "../../src-contract/formats.ts";
import {
  type FileRecord,
  type ManifestHeader,
  manifestHeaderSchema,
  type Omission,
  omissionSchema,
} from "../../src-contract/manifest.ts";
import type { CancelSignal } from "../../src-contract/progress.ts";
import { throwIfCancelled } from "../failing.ts";
import type { RangeSource } from "../ports.ts";
import {
  closingLine,
  LISTS,
  type ListName,
  omissionText,
  openingLine,
  recordText,
} from "./manifest-layout.ts";
import { invalidLine, type ManifestOrigin, manifestLines } from "./manifest-lines.ts";
import { isFileRecord, issueText, pathProblem, recordProblem } from "./manifest-record.ts";
import { comparePaths } from "./path-order.ts";

/** Some entries of one list, in the order of the file: first all empty folders, then all omissions, then all files. */
type ManifestBatch =
  | { readonly list: "emptyFolders"; readonly entries: readonly string[] }
  | { readonly list: "omitted"; readonly entries: readonly Omission[] }
  | { readonly list: "files"; readonly entries: readonly FileRecord[] };

export interface Manifest {
  readonly header: ManifestHeader;
  /**
   * Reads the whole manifest once; may be called again. Throws MANIFEST_INVALID at the first fault: only a pass that came to
   * its end has checked the file, so nothing may be concluded from batches before that.
   */
  batches(): AsyncGenerator<ManifestBatch>;
  /** As `batches`, the file records only. */
  files(): AsyncGenerator<readonly FileRecord[]>;
}

export interface ReadOptions {
  readonly signal?: CancelSignal;
  /** What failures name instead of the path; for a RangeSource `manifest.json`. */
  readonly subject?: string;
}

/**
 * Reads the header of a manifest.json of format strongroom-manifest/1 and gives access to its lists as streams: memory is bounded
 * for any number of files. Hostile input is expected. What is accepted is exactly what ManifestWriter can have written:
 * one record per line, one way to write each, paths safe and strictly ascending, totals as the header says, nothing after the end.
 */
export async function readManifest(
  source: string | RangeSource,
  options: ReadOptions = {},
): Promise<Manifest> {
  const subject = options.subject ?? (typeof source === "string" ? source : "manifest.json");
  const origin = { source, subject };
  const header = await readHeader(origin, options.signal);
  async function* batches(): AsyncGenerator<ManifestBatch> {
    const pass = new Pass(origin);
    for await (const lines of manifestLines(origin, options.signal)) {
      yield* pass.take(lines);
      throwIfCancelled(options.signal);
    }
    pass.finish(header);
  }
  async function* files(): AsyncGenerator<readonly FileRecord[]> {
    for await (const batch of batches()) if (batch.list === "files") yield batch.entries;
  }
  return { header, batches, files };
}

async function readHeader(origin: ManifestOrigin, signal: CancelSignal | undefined): Promise<ManifestHeader> {
  for await (const [line] of manifestLines(origin, signal)) {
    if (line !== undefined) return parseHeader(origin, line);
  }
  throw invalidLine(origin, 1, "the file is empty");
}

function parseHeader(origin: ManifestOrigin, line: string): ManifestHeader {
  const text = `${line.slice(0, -1)}}`;
  const value = line.endsWith(",") ? parseJson(text) : undefined;
  if (typeof value !== "object" || value === null || !text.startsWith('{"format":"')) {
    throw invalidLine(
      origin,
      1,
      `is not the header of a manifest (it begins with {"format":"${MANIFEST_FORMAT}")`,
    );
  }
  const format = Reflect.get(value, "format");
  if (format !== MANIFEST_FORMAT) {
    throw invalidLine(
      origin,
      1,
      `format ${typeof format === "string" ? JSON.stringify(format.slice(0, 100)) : `of type ${typeof format}`} is not known to this version, which reads "${MANIFEST_FORMAT}"`,
    );
  }
  const parsed = manifestHeaderSchema.safeParse(value);
  if (!parsed.success) throw invalidLine(origin, 1, issueText(parsed.error));
  if (JSON.stringify(value) !== text || !isDeepStrictEqual(value, parsed.data)) {
    throw invalidLine(origin, 1, "is not written as format 1 writes it (a repeated key, or white space)");
  }
  return parsed.data;
}

/** Undefined for what is not JSON, which has no undefined. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** One pass over the lines, from the first to the last. */
class Pass {
  readonly #origin: ManifestOrigin;
  #header: ManifestHeader | undefined;
  #line = 0;
  /** Index into LISTS of the list that is open or comes next. */
  #list = 0;
  #open = false;
  /** What the previous entry's separator, or its absence, demands of the next line. */
  #next: "entry" | "end" | "either" = "either";
  #lastPath = "";
  #files = 0;
  #payload = 0;

  constructor(origin: ManifestOrigin) {
    this.#origin = origin;
  }

  *take(lines: readonly string[]): Generator<ManifestBatch> {
    const emptyFolders: string[] = [];
    const omitted: Omission[] = [];
    const files: FileRecord[] = [];
    for (const line of lines) {
      this.#line++;
      if (this.#header === undefined) {
        this.#header = parseHeader(this.#origin, line);
        continue;
      }
      const entry = this.#entry(line);
      if (entry === null) continue;
      const list = LISTS[this.#list];
      if (list === "files") files.push(this.#file(entry));
      else if (list === "omitted") omitted.push(this.#omission(entry));
      else emptyFolders.push(this.#emptyFolder(entry));
    }
    if (emptyFolders.length > 0) yield { list: "emptyFolders", entries: emptyFolders };
    if (omitted.length > 0) yield { list: "omitted", entries: omitted };
    if (files.length > 0) yield { list: "files", entries: files };
  }

  finish(expected: ManifestHeader): void {
    const list = LISTS[this.#list];
    this.#line++;
    if (this.#header === undefined || list !== undefined) {
      throw this.#invalid(`the file ends before ${list ?? "its header"} does`);
    }
    if (!isDeepStrictEqual(this.#header, expected))
      throw this.#invalid("the file was replaced while it was read");
    if (this.#files !== expected.fileCount || this.#payload !== expected.payloadSize) {
      throw this.#invalid(
        `the header announces ${expected.fileCount} files of ${expected.payloadSize} bytes, the list has ${this.#files} of ${this.#payload}`,
      );
    }
  }

  /** The text of an entry without its separator; null for a line that opens or closes a list. */
  #entry(line: string): string | null {
    const list: ListName | undefined = LISTS[this.#list];
    if (list === undefined) throw this.#invalid("something follows the end of the manifest");
    if (!this.#open) {
      if (line !== openingLine(list)) throw this.#invalid(`should be ${openingLine(list)}`);
      this.#open = true;
      this.#next = "either";
      return null;
    }
    if (line === closingLine(list)) {
      if (this.#next === "entry") throw this.#invalid("the list ends after a comma");
      this.#open = false;
      this.#list++;
      return null;
    }
    if (this.#next === "end")
      throw this.#invalid(`should be ${closingLine(list)}, or a comma is missing before it`);
    const separated = line.endsWith(",");
    this.#next = separated ? "entry" : "end";
    return separated ? line.slice(0, -1) : line;
  }

  #file(text: string): FileRecord {
    const value = parseJson(text);
    if (!isFileRecord(value)) throw this.#invalid(value === undefined ? "is not JSON" : recordProblem(value));
    if (recordText(value) !== text) throw this.#notAsWritten();
    const problem = pathProblem(value.path);
    if (problem !== null) throw this.#invalid(problem);
    if (comparePaths(this.#lastPath, value.path) >= 0) {
      throw this.#invalid(`${JSON.stringify(value.path)} repeats the path before it or is out of order`);
    }
    this.#lastPath = value.path;
    this.#files++;
    this.#payload += value.size;
    if (!Number.isSafeInteger(this.#payload)) throw this.#invalid("the sizes add up to more than can be");
    return value;
  }

  #omission(text: string): Omission {
    const parsed = omissionSchema.safeParse(parseJson(text));
    if (!parsed.success) throw this.#invalid(issueText(parsed.error));
    if (omissionText(parsed.data) !== text) throw this.#notAsWritten();
    return parsed.data;
  }

  #emptyFolder(text: string): string {
    const path = parseJson(text);
    if (typeof path !== "string") throw this.#invalid("is not a path as a JSON string");
    if (JSON.stringify(path) !== text) throw this.#notAsWritten();
    const problem = pathProblem(path);
    if (problem !== null) throw this.#invalid(problem);
    return path;
  }

  #notAsWritten() {
    return this.#invalid(
      "is not written as format 1 writes it (fields in order, none repeated, no white space)",
    );
  }

  #invalid(what: string) {
    return invalidLine(this.#origin, this.#line, what);
  }
}
