/**
 * Archive layout 1, as docs/package-format.md specifies it byte by byte. A virtual tar is produced again and again from these
 * functions while an upload is pending, so no byte of what they return may ever change: golden vectors hold them.
 */
export const BLOCK = 512;
/** End of archive: two zero blocks, and no padding to a tape record (POSIX.1-2017 pax, "ustar Interchange Format"). */
export const TRAILER_SIZE = 2 * BLOCK;

/** From 8 GiB on, a size does not fit eleven octal digits and goes into a pax record. */
const MAX_OCTAL_SIZE = 8 ** 11;
const MAX_OCTAL_TIME = 8 ** 11 - 1;
const MAX_NAME_BYTES = 100;
const PAX_NAME = "././@PaxHeader";

const REGULAR_FILE = 0x30;
const PAX_RECORDS = 0x78;

/** A header with everything that is the same in all entries: mode 0644, uid and gid 0, empty owner names, "ustar" version 00. */
const TEMPLATE = Buffer.alloc(BLOCK);
TEMPLATE.write("0000644\0", 100, "latin1");
TEMPLATE.write("0000000\0", 108, "latin1");
TEMPLATE.write("0000000\0", 116, "latin1");
TEMPLATE.write("        ", 148, "latin1");
TEMPLATE.write("ustar\x0000", 257, "latin1");
TEMPLATE.write("0000000\0", 329, "latin1");
TEMPLATE.write("0000000\0", 337, "latin1");
const TEMPLATE_SUM = TEMPLATE.reduce((sum, byte) => sum + byte, 0);

/** Bytes rounded up to whole blocks. */
export function padded(size: number): number {
  return size % BLOCK === 0 ? size : size + BLOCK - (size % BLOCK);
}

function paxRecords(path: string, pathBytes: number, size: number): Buffer | null {
  // UTF-8 has as many bytes as UTF-16 has units for ASCII alone.
  const plain = pathBytes === path.length && pathBytes <= MAX_NAME_BYTES;
  if (plain && size < MAX_OCTAL_SIZE) return null;
  const records: Buffer[] = [];
  if (!plain) records.push(paxRecord("path", path));
  if (size >= MAX_OCTAL_SIZE) records.push(paxRecord("size", String(size)));
  return Buffer.concat(records);
}

/** `length key=value\n`, where length counts itself in decimal (POSIX pax, "pax Extended Header"). */
function paxRecord(key: string, value: string): Buffer {
  const rest = Buffer.from(` ${key}=${value}\n`);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** Bytes that stand before an entry's content: one block, or three and more with pax records. */
export function headerSize(path: string, size: number): number {
  const records = paxRecords(path, Buffer.byteLength(path), size);
  return records === null ? BLOCK : BLOCK + padded(records.length) + BLOCK;
}

/**
 * Writes the header of a regular file at `at` of `target` and returns its length.
 * `path` is the whole path in the archive, `size` is bytes, `modifiedSeconds` is whole seconds since 1970,
 * held to what eleven octal digits can say.
 */
export function writeHeader(
  target: Uint8Array,
  at: number,
  path: string,
  size: number,
  modifiedSeconds: number,
): number {
  const name = Buffer.from(path);
  const records = paxRecords(path, name.length, size);
  const time = Math.min(Math.max(modifiedSeconds, 0), MAX_OCTAL_TIME);
  if (records === null) {
    writeBlock(target, at, name, size, time, REGULAR_FILE);
    return BLOCK;
  }
  const recordsSize = padded(records.length);
  writeBlock(target, at, Buffer.from(PAX_NAME), records.length, time, PAX_RECORDS);
  target.fill(0, at + BLOCK, at + BLOCK + recordsSize);
  target.set(records, at + BLOCK);
  const ascii = name.subarray(0, MAX_NAME_BYTES).map((byte) => (byte > 0x7f ? 0x5f : byte));
  writeBlock(target, at + BLOCK + recordsSize, ascii, size >= MAX_OCTAL_SIZE ? 0 : size, time, REGULAR_FILE);
  return BLOCK + recordsSize + BLOCK;
}

function writeBlock(
  target: Uint8Array,
  at: number,
  name: Uint8Array,
  size: number,
  time: number,
  type: number,
): void {
  target.set(TEMPLATE, at);
  target.set(name, at);
  let sum = TEMPLATE_SUM + type;
  for (let i = 0; i < name.length; i++) sum += name[i] as number;
  sum += writeOctal(target, at + 124, size);
  sum += writeOctal(target, at + 136, time);
  target[at + 156] = type;
  for (let i = 5, rest = sum; i >= 0; i--, rest >>= 3) target[at + 148 + i] = 0x30 + (rest & 7);
  target[at + 154] = 0;
  target[at + 155] = 0x20;
}

/** Eleven octal digits and a NUL; returns the sum of the bytes written. */
function writeOctal(target: Uint8Array, at: number, value: number): number {
  let rest = value;
  let sum = 0;
  for (let i = 10; i >= 0; i--) {
    const digit = 0x30 + (rest % 8);
    target[at + i] = digit;
    sum += digit;
    rest = Math.floor(rest / 8);
  }
  target[at + 11] = 0;
  return sum;
}

/** The header as bytes of its own. */
export function header(path: string, size: number, modifiedSeconds: number): Buffer {
  const bytes = Buffer.alloc(headerSize(path, size));
  writeHeader(bytes, 0, path, size, modifiedSeconds);
  return bytes;
}
