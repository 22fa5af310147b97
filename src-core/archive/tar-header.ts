/** What one 512-byte tar header says (POSIX ustar, with GNU's base-256 numbers). Names are bytes: their encoding is the reader's business. */
export interface TarHeader {
  /** `prefix/name` for POSIX headers, else the name field. */
  readonly name: Uint8Array;
  /** Bytes of content. */
  readonly size: number;
  readonly type: string;
}

const BLOCK = 512;

export function isZeroBlock(block: Uint8Array): boolean {
  return block.every((byte) => byte === 0);
}

/** Null when the block is no tar header: wrong checksum, or a number that is none. */
export function parseTarHeader(block: Uint8Array): TarHeader | null {
  const size = parseNumber(block.subarray(124, 136));
  if (size === null || !hasChecksum(block)) return null;
  const type = String.fromCharCode(block[156] ?? 0);
  const posix = Buffer.from(block.subarray(257, 263)).toString("latin1") === "ustar\0";
  const name = untilNul(block.subarray(0, 100));
  const prefix = posix ? untilNul(block.subarray(345, 500)) : new Uint8Array(0);
  return {
    name: prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from("/"), name]),
    size,
    type: type === "\0" || type === "7" ? "0" : type,
  };
}

/** Sum of all bytes with the checksum field as spaces; old writers summed signed bytes. */
function hasChecksum(block: Uint8Array): boolean {
  const stated = parseNumber(block.subarray(148, 156));
  let unsigned = 0;
  let signed = 0;
  for (let i = 0; i < BLOCK; i += 1) {
    const byte = i >= 148 && i < 156 ? 0x20 : (block[i] ?? 0);
    unsigned += byte;
    signed += byte > 127 ? byte - 256 : byte;
  }
  return stated !== null && (stated === unsigned || stated === signed);
}

/** Octal digits between spaces and NULs, or GNU's base-256; null for anything else, negative numbers and what exceeds 2^53. */
function parseNumber(field: Uint8Array): number | null {
  if (((field[0] ?? 0) & 0x80) !== 0) {
    let value = (field[0] ?? 0) & 0x7f;
    if ((value & 0x40) !== 0) return null;
    for (const byte of field.subarray(1)) value = value * 256 + byte;
    return Number.isSafeInteger(value) ? value : null;
  }
  const match = /^ *([0-7]*)[ \0]*$/.exec(Buffer.from(field).toString("latin1"));
  if (match === null) return null;
  return match[1] === "" ? 0 : Number.parseInt(match[1] ?? "", 8);
}

export function untilNul(field: Uint8Array): Uint8Array {
  const end = field.indexOf(0);
  return end === -1 ? field : field.subarray(0, end);
}

/** The records of a pax header (`LENGTH KEY=VALUE\n`), or null when they are malformed. A key given twice counts by its last value. */
export function parsePax(bytes: Uint8Array): ReadonlyMap<string, Buffer> | null {
  const all = Buffer.from(bytes);
  const records = new Map<string, Buffer>();
  let at = 0;
  while (at < all.length) {
    const space = all.indexOf(0x20, at);
    const digits = space === -1 ? "" : all.toString("latin1", at, space);
    if (!/^[1-9]\d{0,8}$/.test(digits)) return null;
    const end = at + Number(digits);
    const equals = all.indexOf(0x3d, space);
    if (end > all.length || all[end - 1] !== 0x0a || equals <= space + 1 || equals >= end) return null;
    records.set(all.toString("utf8", space + 1, equals), all.subarray(equals + 1, end - 1));
    at = end;
  }
  return records;
}
