import { createHash } from "node:crypto";
import { BLOCK, padded } from "../archive/tar-layout.ts";
import type { ArchiveBytes } from "./archive-bytes.ts";

/** One entry of an archive, as its own headers place it. Offsets and size are bytes. */
export interface ArchiveEntry {
  readonly path: string;
  readonly headerOffset: number;
  readonly contentOffset: number;
  readonly size: number;
  readonly end: number;
}

const PAX_RECORDS = 0x78;
const LONGEST_PAX = 1024 * 1024;

/** Reads the header at `offset`; null where there is none of the kinds that archive layout 1 has. Its bytes are compared elsewhere. */
function entryAt(archive: ArchiveBytes, offset: number): ArchiveEntry | null {
  let at = offset;
  let pax: ReadonlyMap<string, string> = new Map();
  let block = archive.step(at, BLOCK);
  if (block.length === BLOCK && block[156] === PAX_RECORDS) {
    const length = octal(block);
    if (length === null || length > LONGEST_PAX) return null;
    pax = paxRecords(archive.slice(at + BLOCK, length));
    at += BLOCK + padded(length);
    block = archive.step(at, BLOCK);
  }
  if (block.length < BLOCK || block[156] !== 0x30) return null;
  const size = pax.has("size") ? Number(pax.get("size")) : octal(block);
  if (size === null || !Number.isSafeInteger(size) || size < 0) return null;
  const nameEnd = block.subarray(0, 100).indexOf(0);
  const path = pax.get("path") ?? block.toString("latin1", 0, nameEnd === -1 ? 100 : nameEnd);
  const contentOffset = at + BLOCK;
  return { path, headerOffset: offset, contentOffset, size, end: contentOffset + padded(size) };
}

function octal(block: Buffer): number | null {
  const text = block.toString("latin1", 124, 135);
  return /^[0-7]{11}$/.test(text) ? Number.parseInt(text, 8) : null;
}

function paxRecords(bytes: Buffer): ReadonlyMap<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const length = Number(bytes.toString("latin1", at, space === -1 ? at : space));
    if (!Number.isInteger(length) || length < 5 || at + length > bytes.length) break;
    const record = bytes.toString("utf8", space + 1, at + length - 1);
    const equals = record.indexOf("=");
    records.set(record.slice(0, equals), record.slice(equals + 1));
    at += length;
  }
  return records;
}

/** Entries after the payload. The payload's are walked through but not kept: there may be millions. */
export function findTagEntries(
  archive: ArchiveBytes,
  topFolder: string,
): { readonly tags: readonly ArchiveEntry[]; readonly end: number } {
  const tags: ArchiveEntry[] = [];
  let offset = 0;
  for (;;) {
    const entry = entryAt(archive, offset);
    if (entry === null || entry.end > archive.size || tags.length > 16) return { tags, end: offset };
    if (!entry.path.startsWith(`${topFolder}/data/`)) tags.push(entry);
    offset = entry.end;
  }
}

const CHUNK = 1024 * 1024;

/** Digest of an entry's content, lower-case hex. */
export function digestEntry(
  archive: ArchiveBytes,
  entry: ArchiveEntry,
  algorithm: "sha256" | "sha512",
): string {
  const digest = createHash(algorithm);
  const buffer = Buffer.allocUnsafe(Math.min(CHUNK, Math.max(entry.size, 1)));
  for (let done = 0; done < entry.size; ) {
    const length = Math.min(CHUNK, entry.size - done);
    const filled = archive.read(entry.contentOffset + done, buffer.subarray(0, length));
    if (filled === 0) break;
    digest.update(buffer.subarray(0, filled));
    done += filled;
  }
  return digest.digest("hex");
}
