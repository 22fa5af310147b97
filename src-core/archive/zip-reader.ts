import { isUtf8 } from "node:buffer";
import { crc32 } from "node:zlib";
import { type Entry, getFileNameLowLevel, openPromise, type ZipFile } from "yauzl";
import { asFailure, fail, systemCode } from "../failing.ts";
import { bomb, isBomb } from "./gzip-stream.ts";

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
  /**
   * The unpacked bytes. Throws an error with code `DAMAGED` when they cannot be unpacked or their length or CRC is not as declared;
   * FailureError ARCHIVE_UNSAFE when there are more than declared, or another name stands before them.
   */
  content(entry: ZipEntry): AsyncGenerator<Uint8Array>;
  close(): void;
}

const LOCAL_HEADER = 30;
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

/** Opens a zip by the directory at its end. `size` is the archive's size in bytes. */
export async function openZip(archive: string, size: number): Promise<ZipReader> {
  const zip = await openPromise(archive, {
    autoClose: false,
    decodeStrings: false,
    validateEntrySizes: false,
  }).catch((error: unknown) => {
    throw asZipFailure(archive, error);
  });
  return {
    entries: () => entries(archive, size, zip),
    content: (entry) => content(archive, zip, entry),
    close: () => zip.close(),
  };
}

async function* entries(archive: string, size: number, zip: ZipFile): AsyncGenerator<ZipEntry> {
  const starts: number[] = [];
  const ends: number[] = [];
  let unpacked = 0;
  try {
    for await (const entry of zip.eachEntry()) {
      const found = toEntry(archive, entry);
      unpacked += found.size;
      if (isBomb(unpacked, size)) throw bomb(archive);
      const start = entry.relativeOffsetOfLocalHeader;
      starts.push(start);
      ends.push(start + LOCAL_HEADER + entry.fileNameRaw.length + entry.compressedSize);
      yield found;
    }
  } catch (error) {
    throw asZipFailure(archive, error);
  }
  refuseOverlap(archive, size, starts, ends);
}

/** Entries that share bytes make a small zip unpack without end, and readers disagree on what they hold. */
function refuseOverlap(archive: string, size: number, starts: number[], ends: number[]): void {
  const order = Uint32Array.from(starts.keys()).sort((a, b) => (starts[a] ?? 0) - (starts[b] ?? 0));
  let reached = 0;
  for (const entry of order) {
    if ((starts[entry] ?? 0) < reached) {
      throw unsafe(archive, "holds entries that overlap, at byte", String(starts[entry]));
    }
    reached = ends[entry] ?? 0;
  }
  if (reached > size) throw invalid(archive, "an entry reaches beyond its end, so it may be truncated");
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

async function* content(archive: string, zip: ZipFile, file: ZipEntry): AsyncGenerator<Uint8Array> {
  const { entry, name, size } = file;
  let length = 0;
  let crc = 0;
  try {
    const local = await zip.readLocalFileHeaderPromise(entry);
    if (!local.fileName.equals(entry.fileNameRaw)) {
      throw unsafe(archive, "names an entry in two ways", name);
    }
    const packed = entry.compressionMethod === 8;
    const { compressedSize } = entry;
    const stream = await zip.openReadStreamLowLevelPromise(
      local.fileDataStart,
      compressedSize,
      0,
      compressedSize,
      packed,
      size,
    );
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > size) throw unsafe(archive, `holds more than the ${size} bytes it declares for`, name);
      crc = crc32(chunk, crc);
      yield chunk;
    }
  } catch (error) {
    if (systemCode(error)?.startsWith("Z_") === true) throw damaged(String(error));
    throw asZipFailure(archive, error);
  }
  if (length !== size) throw damaged(`${length} bytes instead of ${size}`);
  if (crc !== entry.crc32) throw damaged("wrong CRC");
}
