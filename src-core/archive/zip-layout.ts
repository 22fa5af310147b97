import type { Entry } from "yauzl";
import type { ZipBytes } from "./zip-bytes.ts";

/** Bytes of a local header before the name (APPNOTE 4.3.7). */
export const LOCAL_HEADER = 30;
const LOCAL_SIGNATURE = 0x04034b50;
/** Flag bit 3: sizes and CRC follow the content, in one of these lengths: with or without signature, of 32 or 64 bits (APPNOTE 4.3.9). */
const DESCRIPTOR_FLAG = 0x8;
const DESCRIPTORS: ReadonlySet<number> = new Set([12, 16, 20, 24]);
const ENCRYPTED_FLAG = 0x1;
const ZIP64 = 0x0001;
const MAX_32 = 0xffffffff;
const DIRECTORY_HEADER = 46;
const END_RECORD = 22;
const ZIP64_END_SIGNATURE = 0x06064b50;
const ZIP64_LOCATOR = 20;

/** What stands before an entry's content. A reader that goes from front to back sees this and never the directory. */
export interface LocalHeader {
  readonly flags: number;
  readonly method: number;
  readonly crc32: number;
  readonly packed: number;
  readonly size: number;
  readonly name: Buffer;
  /** Where the content begins. */
  readonly contentOffset: number;
}

/** The local header at a place, or null where none stands. */
export async function readLocalHeader(bytes: ZipBytes, start: number): Promise<LocalHeader | null> {
  const fixed = await bytes.readAt(start, LOCAL_HEADER);
  if (fixed.length < LOCAL_HEADER || fixed.readUInt32LE(0) !== LOCAL_SIGNATURE) return null;
  const nameLength = fixed.readUInt16LE(26);
  const extraLength = fixed.readUInt16LE(28);
  const whole = await bytes.readAt(start, LOCAL_HEADER + nameLength + extraLength);
  if (whole.length < LOCAL_HEADER + nameLength + extraLength) return null;
  const extra = zip64Extra(whole.subarray(LOCAL_HEADER + nameLength));
  const size = whole.readUInt32LE(22);
  const packed = whole.readUInt32LE(18);
  const wide = (place: number): number =>
    extra.length < place + 8 ? Number.NaN : Number(extra.readBigUInt64LE(place));
  return {
    flags: whole.readUInt16LE(6),
    method: whole.readUInt16LE(8),
    crc32: whole.readUInt32LE(14),
    size: size === MAX_32 ? wide(0) : size,
    packed: packed === MAX_32 ? wide(size === MAX_32 ? 8 : 0) : packed,
    name: Buffer.from(whole.subarray(LOCAL_HEADER, LOCAL_HEADER + nameLength)),
    contentOffset: start + whole.length,
  };
}

function zip64Extra(fields: Buffer): Buffer {
  for (let at = 0; at + 4 <= fields.length; at += 4 + fields.readUInt16LE(at + 2)) {
    if (fields.readUInt16LE(at) === ZIP64)
      return fields.subarray(at + 4, at + 4 + fields.readUInt16LE(at + 2));
  }
  return Buffer.alloc(0);
}

/** Whether both headers of an entry tell of the same content; names are compared elsewhere. Sizes that follow the content are not told here. */
export function saysTheSame(local: LocalHeader, entry: Entry): boolean {
  if (local.method !== entry.compressionMethod || (local.flags & ENCRYPTED_FLAG) !== 0) return false;
  if ((local.flags & DESCRIPTOR_FLAG) !== 0) return true;
  return (
    local.crc32 === entry.crc32 &&
    local.packed === entry.compressedSize &&
    local.size === entry.uncompressedSize
  );
}

/** How many bytes an entry has in the directory. */
export function directorySize(entry: Entry): number {
  return DIRECTORY_HEADER + entry.fileNameLength + entry.extraFieldLength + entry.fileCommentLength;
}

/** Bytes of a zip that belong to nothing. */
export interface Gap {
  readonly at: number;
  readonly length: number;
}

/** Where the records at the end begin and where they place the directory. `commentLength` is that of the zip's comment. */
export async function readEnd(
  bytes: ZipBytes,
  commentLength: number,
): Promise<{ readonly end: number; readonly directory: number }> {
  const end = bytes.size - END_RECORD - commentLength;
  const directory = (await bytes.readAt(end, END_RECORD)).readUInt32LE(16);
  if (directory !== MAX_32) return { end, directory };
  const locator = await bytes.readAt(end - ZIP64_LOCATOR, ZIP64_LOCATOR);
  const wide = await bytes.readAt(Number(locator.readBigUInt64LE(8)), 56);
  return { end, directory: Number(wide.readBigUInt64LE(48)) };
}

/**
 * The bytes that belong to no entry, to the directory or to the records at the end. `starts` are the places of all entries with their packed
 * sizes, in the order in which they lie. Where no local header stands the entry is damaged, and what follows it is not judged.
 */
export async function findGaps(
  bytes: ZipBytes,
  starts: Iterable<{ readonly start: number; readonly packed: number }>,
  directory: { readonly start: number; readonly size: number; readonly end: number },
): Promise<readonly Gap[]> {
  const gaps: Gap[] = [];
  let reached: number | null = 0;
  let descriptor = false;
  const note = (next: number): void => {
    if (reached === null || next === reached || (descriptor && DESCRIPTORS.has(next - reached))) return;
    gaps.push({ at: reached, length: next - reached });
  };
  for (const { start, packed } of starts) {
    note(start);
    const local = await readLocalHeader(bytes, start);
    reached = local === null ? null : local.contentOffset + packed;
    descriptor = local !== null && (local.flags & DESCRIPTOR_FLAG) !== 0;
  }
  note(directory.start);
  const after = directory.start + directory.size;
  if (after + (await zip64Records(bytes, after)) !== directory.end) {
    gaps.push({ at: after, length: directory.end - after });
  }
  return gaps;
}

/** Bytes of the zip64 records at a place (APPNOTE 4.3.14 and 4.3.15), 0 where there are none. */
async function zip64Records(bytes: ZipBytes, at: number): Promise<number> {
  const record = await bytes.readAt(at, 12);
  if (record.length < 12 || record.readUInt32LE(0) !== ZIP64_END_SIGNATURE) return 0;
  return 12 + Number(record.readBigUInt64LE(4)) + ZIP64_LOCATOR;
}
