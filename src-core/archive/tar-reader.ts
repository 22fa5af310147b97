import { fail } from "../failing.ts";
import type { ByteCursor } from "./byte-cursor.ts";
import { isZeroBlock, parsePax, parseTarHeader, type TarHeader, untilNul } from "./tar-header.ts";

/** A file or folder of a tar. Its content is `size` bytes from `offset`; the reader of a stream takes them before it asks for the next entry, or lets them pass. */
export interface TarEntry {
  /** Bytes as stored; whether they are valid UTF-8 and safe is for the caller to say. */
  readonly name: Uint8Array;
  readonly kind: "file" | "folder";
  readonly size: number;
  readonly offset: number;
}

/** How the tar ended, when all entries were read. */
export interface TarEnd {
  /** One block of zeros was there instead of two. */
  readonly short: boolean;
  /** Something other than zeros follows the end. */
  readonly trailing: boolean;
}

const BLOCK = 512;
/** A name of this length fits no file system; more is an attack on memory and time. */
const MAX_NAME_BLOCK = 64 * 1024;
const MAX_PAX_BLOCK = 1024 * 1024;
const padding = (size: number): number => (BLOCK - (size % BLOCK)) % BLOCK;

const REFUSED: Readonly<Record<string, string>> = {
  "1": "a hard link",
  "2": "a symbolic link",
  "3": "a device",
  "4": "a device",
  "6": "a named pipe",
  S: "a GNU sparse file",
};

function invalid(archive: string, what: string): Error {
  return fail(
    "ARCHIVE_INVALID",
    `${archive} is not a sound tar: ${what}.`,
    "Get an intact copy of the archive.",
    {
      subject: archive,
    },
  );
}

function unsafe(archive: string, name: Uint8Array, what: string): Error {
  const entry = Buffer.from(name).toString("utf8");
  return fail(
    "ARCHIVE_UNSAFE",
    `${archive} holds ${what}: ${JSON.stringify(entry)}. Only regular files and folders are accepted.`,
    "Ask the sender for an archive of regular files only, or unpack it yourself with care.",
    { subject: archive, details: { entry } },
  );
}

/** What the extension headers before an entry say of it. */
interface Extension {
  name: Uint8Array | null;
  size: number | null;
}

/**
 * The entries of a tar, in order: ustar, pax and GNU long names. Throws ARCHIVE_INVALID for what is no tar, damaged or truncated (also
 * when the blocks of zeros at its end are not there), ARCHIVE_UNSAFE for links, devices, pipes, sparse files and kinds that are not known.
 * `onEnd` hears how it ended.
 */
export async function* readTar(
  archive: string,
  cursor: ByteCursor,
  onEnd: (end: TarEnd) => void,
): AsyncGenerator<TarEntry> {
  let extension: Extension = { name: null, size: null };
  for (;;) {
    const block = await cursor.take(BLOCK);
    if (block === null) throw invalid(archive, "its end is not there, so it may be truncated");
    if (isZeroBlock(block)) {
      onEnd(await readEnd(cursor));
      return;
    }
    const header = parseTarHeader(block);
    if (header === null) {
      throw invalid(archive, `the header at byte ${cursor.position - BLOCK} is damaged or is none`);
    }
    if (header.type === "x" || header.type === "g" || header.type === "L" || header.type === "K") {
      extension = await readExtension(archive, cursor, header, extension);
      continue;
    }
    const entry = toEntry(archive, header, extension, cursor.position);
    extension = { name: null, size: null };
    yield entry;
    const end = entry.offset + entry.size + padding(entry.size);
    if (!Number.isSafeInteger(end)) throw invalid(archive, "an entry's size is impossible");
    await cursor.skip(end - cursor.position);
  }
}

function toEntry(archive: string, header: TarHeader, extension: Extension, offset: number): TarEntry {
  const name = extension.name ?? header.name;
  const size = extension.size ?? header.size;
  if (header.type !== "0" && header.type !== "5") {
    throw unsafe(archive, name, REFUSED[header.type] ?? `an entry of kind ${JSON.stringify(header.type)}`);
  }
  const isFolder = header.type === "5" || name.at(-1) === 0x2f;
  if (isFolder && size !== 0) throw unsafe(archive, name, "a folder with content");
  return { name, kind: isFolder ? "folder" : "file", size, offset };
}

async function readExtension(
  archive: string,
  cursor: ByteCursor,
  header: TarHeader,
  before: Extension,
): Promise<Extension> {
  const isPax = header.type === "x" || header.type === "g";
  if (header.size > (isPax ? MAX_PAX_BLOCK : MAX_NAME_BLOCK)) {
    throw unsafe(archive, header.name, `an extension header of ${header.size} bytes`);
  }
  // Copied: bytes of the cursor are valid until its next call only.
  const content = Buffer.from((await cursor.take(header.size)) ?? []);
  if (content.length < header.size) throw invalid(archive, "it ends within an extension header");
  await cursor.skip(padding(header.size));
  if (header.type === "K") return before;
  if (header.type === "L") return { ...before, name: untilNul(content) };
  const records = parsePax(content);
  if (records === null) throw invalid(archive, "a pax header is malformed");
  for (const key of records.keys()) {
    if (key.startsWith("GNU.sparse.")) throw unsafe(archive, header.name, "a GNU sparse file");
  }
  const name = records.get("path");
  const size = records.get("size");
  if (header.type === "g") {
    if (name !== undefined || size !== undefined) {
      throw unsafe(archive, header.name, "a global header that renames or resizes entries");
    }
    return before;
  }
  if (name !== undefined && name.length > MAX_NAME_BLOCK) {
    throw unsafe(archive, name.subarray(0, 100), `a name of ${name.length} bytes`);
  }
  if (size !== undefined && !/^\d{1,16}$/.test(size.toString("latin1"))) {
    throw invalid(archive, "a pax size is no number");
  }
  return { name: name ?? before.name, size: size === undefined ? before.size : Number(size) };
}

/** After the first block of zeros: one more ends the archive, and nothing but zeros may follow. */
async function readEnd(cursor: ByteCursor): Promise<TarEnd> {
  let bytes = 0;
  let trailing = false;
  for await (const piece of cursor.rest()) {
    bytes += piece.length;
    trailing ||= !isZeroBlock(piece);
  }
  return { short: bytes < BLOCK, trailing };
}
