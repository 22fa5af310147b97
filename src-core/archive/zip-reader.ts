import { isUtf8 } from "node:buffer";
import { crc32, createInflateRaw, type InflateRaw, inflateRawSync } from "node:zlib";
import { type Entry, fromRandomAccessReaderPromise, getFileNameLowLevel, type ZipFile } from "yauzl";
import { asFailure, fail, systemCode } from "../failing.ts";
import { bomb, isBomb, unpack } from "./gzip-stream.ts";
import { ZipBytes } from "./zip-bytes.ts";
import {
  directorySize,
  findGaps,
  type Gap,
  LOCAL_HEADER,
  readEnd,
  readLocalHeader,
  saysTheSame,
} from "./zip-layout.ts";

/** A file or folder of a zip, as its central directory tells it. */
export interface ZipEntry {
  readonly name: string;
  readonly kind: "file" | "folder";
  /** Bytes unpacked, as declared; held against the content when it is read. */
  readonly size: number;
  readonly entry: Entry;
}

export interface ZipReader {
  /**
   * The entries in the order of the central directory; to be iterated once. Throws ARCHIVE_INVALID for a damaged directory, encryption and
   * unknown compression, ARCHIVE_UNSAFE for links, devices, backslashes, overlapping entries and compression bombs.
   */
  entries(): AsyncGenerator<ZipEntry>;
  /** The bytes that belong to no entry; to be asked when all entries were read. */
  gaps(): Promise<readonly Gap[]>;
  /**
   * The unpacked bytes. Throws an error with code `DAMAGED` when they cannot be unpacked, when their length or CRC is not as declared or the
   * entry's two headers differ; FailureError ARCHIVE_UNSAFE when there are more than declared, or another name stands before them.
   */
  content(entry: ZipEntry): AsyncGenerator<Uint8Array>;
  close(): Promise<void>;
}

/** Bytes of an entry that is unpacked at once. */
const SMALL = 256 * 1024;
const UNICODE_PATH = 0x7075;

function invalid(archive: string, what: string, cause?: unknown): Error {
  return fail(
    "ARCHIVE_INVALID",
    `${archive} is not a sound zip: ${what}.`,
    "Get an intact copy of the archive.",
    {
      subject: archive,
      cause,
    },
  );
}

function unsafe(archive: string, what: string, entry: string): Error {
  return fail(
    "ARCHIVE_UNSAFE",
    `${archive} ${what}: ${JSON.stringify(entry)}.`,
    "Do not unpack it; ask the sender for a sound archive.",
    { subject: archive, details: { entry } },
  );
}

function damaged(what: string): Error {
  return Object.assign(new Error(what), { code: "DAMAGED" });
}

/** yauzl throws plain errors for what is wrong with a zip, and passes on the system's. */
function asZipFailure(archive: string, error: unknown): Error {
  if (systemCode(error) !== undefined || (error instanceof Error && error.name === "FailureError")) {
    return asFailure(error, archive);
  }
  return invalid(archive, error instanceof Error ? error.message : String(error), error);
}

/** Opens a zip by the directory at its end. */
export async function openZip(archive: string): Promise<ZipReader> {
  const bytes = await ZipBytes.open(archive);
  try {
    const zip = await fromRandomAccessReaderPromise(bytes, bytes.size, {
      autoClose: false,
      decodeStrings: false,
      validateEntrySizes: false,
    });
    const spans: Spans = { starts: [], packed: [], directorySize: 0 };
    return {
      entries: () => entries(archive, bytes.size, zip, spans),
      gaps: () => gapsBetween(archive, bytes, zip, spans),
      content: (entry) => content(archive, bytes, entry),
      close: () => bytes.dispose(),
    };
  } catch (error) {
    await bytes.dispose();
    throw asZipFailure(archive, error);
  }
}

/** Where the entries lie, in columns: there may be millions. */
interface Spans {
  readonly starts: number[];
  readonly packed: number[];
  directorySize: number;
}

async function* entries(archive: string, size: number, zip: ZipFile, spans: Spans): AsyncGenerator<ZipEntry> {
  const ends: number[] = [];
  let unpacked = 0;
  try {
    for await (const entry of zip.eachEntry()) {
      const found = toEntry(archive, entry);
      unpacked += found.size;
      if (isBomb(unpacked, size)) throw bomb(archive);
      const start = entry.relativeOffsetOfLocalHeader;
      spans.starts.push(start);
      spans.packed.push(entry.compressedSize);
      spans.directorySize += directorySize(entry);
      ends.push(start + LOCAL_HEADER + entry.fileNameRaw.length + entry.compressedSize);
      yield found;
    }
  } catch (error) {
    throw asZipFailure(archive, error);
  }
  refuseOverlap(archive, size, spans.starts, ends);
}

/** Numbers of the entries in the order in which they lie. */
const inPlace = (starts: readonly number[]): Uint32Array =>
  Uint32Array.from(starts.keys()).sort((a, b) => (starts[a] ?? 0) - (starts[b] ?? 0));

/** Entries that share bytes make a small zip unpack without end, and readers disagree on what they hold. */
function refuseOverlap(
  archive: string,
  size: number,
  starts: readonly number[],
  ends: readonly number[],
): void {
  let reached = 0;
  for (const entry of inPlace(starts)) {
    if ((starts[entry] ?? 0) < reached) {
      throw unsafe(archive, "holds entries that overlap, at byte", String(starts[entry]));
    }
    reached = ends[entry] ?? 0;
  }
  if (reached > size) throw invalid(archive, "an entry reaches beyond its end, so it may be truncated");
}

/** A reader that goes from front to back may find entries in what the directory leaves out. */
async function gapsBetween(
  archive: string,
  bytes: ZipBytes,
  zip: ZipFile,
  spans: Spans,
): Promise<readonly Gap[]> {
  const { starts, packed } = spans;
  const end = await readEnd(bytes, Buffer.byteLength(zip.comment));
  function* ordered() {
    for (const entry of inPlace(starts)) yield { start: starts[entry] ?? 0, packed: packed[entry] ?? 0 };
  }
  const directory = { start: end.directory, size: spans.directorySize, end: end.end };
  return findGaps(bytes, ordered(), directory).catch((error: unknown) => {
    throw asZipFailure(archive, error);
  });
}

function toEntry(archive: string, entry: Entry): ZipEntry {
  const name = entryName(entry);
  if (entry.isEncrypted()) throw invalid(archive, `${JSON.stringify(name)} is encrypted`);
  if (!entry.canDecodeFileData()) {
    throw invalid(archive, `${JSON.stringify(name)} uses compression method ${entry.compressionMethod}`);
  }
  if (name.includes("\\")) throw unsafe(archive, "holds a name with a backslash", name);
  // Upper half: the mode of Unix, 0 where the writer knew none.
  const type = (entry.externalFileAttributes >>> 16) & 0o170000;
  if (type !== 0 && type !== 0o100000 && type !== 0o040000) {
    throw unsafe(archive, type === 0o120000 ? "holds a symbolic link" : "holds a special file", name);
  }
  const isFolder = name.endsWith("/");
  if (isFolder && entry.uncompressedSize !== 0) throw unsafe(archive, "holds a folder with content", name);
  if (!isFolder && type === 0o040000) throw unsafe(archive, "holds a folder that is named as a file", name);
  if (entry.compressionMethod === 0 && entry.compressedSize !== entry.uncompressedSize) {
    throw invalid(archive, `${JSON.stringify(name)} is stored in another size than its own`);
  }
  return { name, kind: isFolder ? "folder" : "file", size: entry.uncompressedSize, entry };
}

/** By the format: UTF-8 where flagged, else CP437; but macOS and others write UTF-8 without the flag, so what is valid UTF-8 is taken as that. */
function entryName(entry: Entry): string {
  const hasUnicodePath = entry.extraFields.some((field) => field.id === UNICODE_PATH);
  if (!hasUnicodePath && isUtf8(entry.fileNameRaw)) return entry.fileNameRaw.toString("utf8");
  return getFileNameLowLevel(entry.generalPurposeBitFlag, entry.fileNameRaw, entry.extraFields, true);
}

async function* content(archive: string, bytes: ZipBytes, file: ZipEntry): AsyncGenerator<Uint8Array> {
  const { entry, name, size } = file;
  let length = 0;
  let crc = 0;
  try {
    for await (const chunk of unpacked(archive, bytes, file)) {
      length += chunk.length;
      if (length > size) throw tooMuch(archive, file);
      crc = crc32(chunk, crc);
      yield chunk;
    }
  } catch (error) {
    const code = systemCode(error);
    if (code === "ERR_BUFFER_TOO_LARGE") throw tooMuch(archive, file);
    if (code?.startsWith("Z_") === true) throw damaged(`${name}: ${String(error)}`);
    throw error;
  }
  if (length !== size) throw damaged(`${name}: ${length} bytes instead of ${size}`);
  if (crc !== entry.crc32) throw damaged(`${name}: wrong CRC`);
}

function tooMuch(archive: string, { size, name }: ZipEntry): Error {
  return unsafe(archive, `holds more than the ${size} bytes it declares for`, name);
}

async function* unpacked(
  archive: string,
  bytes: ZipBytes,
  { entry, name, size }: ZipEntry,
): AsyncGenerator<Uint8Array> {
  const { compressedSize, fileNameRaw, relativeOffsetOfLocalHeader: start } = entry;
  const deflated = entry.compressionMethod !== 0;
  const local = await readLocalHeader(bytes, start);
  if (local === null) throw damaged(`${name}: no header at byte ${start}`);
  // Readers that go from front to back would see the name that stands here.
  if (!local.name.equals(fileNameRaw)) throw unsafe(archive, "names an entry in two ways", name);
  if (!saysTheSame(local, entry)) throw damaged(`${name}: its two headers differ`);
  const from = local.contentOffset;
  if (from + compressedSize > bytes.size) throw invalid(archive, `${JSON.stringify(name)} is truncated`);
  if (compressedSize <= SMALL && size <= SMALL) {
    const stored = await bytes.readAt(from, compressedSize);
    if (deflated) yield inflateSmall(stored, size, name);
    else yield stored;
    return;
  }
  const raw = bytes.stream(from, compressedSize);
  if (!deflated) {
    yield* raw as AsyncIterable<Buffer>;
    return;
  }
  const inflate = createInflateRaw({ chunkSize: 256 * 1024 });
  yield* unpack(raw, inflate);
  if (inflate.bytesWritten < compressedSize) throw damaged(`${name}: data after its end`);
}

/** In one call: a stream costs more than the work itself. Throws ERR_BUFFER_TOO_LARGE beyond the declared size. */
function inflateSmall(stored: Buffer, size: number, name: string): Buffer {
  // `info` makes this an object, which Node's types do not know.
  const result: unknown = inflateRawSync(stored, { maxOutputLength: Math.max(size, 1), info: true });
  const { buffer, engine } = result as { buffer: Buffer; engine: InflateRaw };
  if (engine.bytesWritten < stored.length) throw damaged(`${name}: data after its end`);
  return buffer;
}
