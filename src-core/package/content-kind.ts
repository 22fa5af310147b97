/**
 * Media types by content. A table of signatures rather than the file-type library: that one is asynchronous and reads through a
 * tokenizer, too slow for 100,000 small files inside the sealing loop (docs/adr/0004-media-types.md has the figures).
 * Index 0 and 1 are not signatures: nothing known, and text.
 */
export const UNKNOWN = 0;
export const TEXT = 1;
export interface Signature {
  readonly type: string;
  readonly offset: number;
  readonly bytes: readonly number[];
  /** Types that a name may promise while the content shows this signature: formats built on it. */
  readonly family?: RegExp;
}

const ascii = (text: string) => [...Buffer.from(text, "latin1")];
const ZIP_FAMILY =
  /zip|officedocument|opendocument|epub|java-archive|android|ms-excel|ms-powerpoint|ms-word|xps|kmz|vsix|octet-stream/;
const OLE_FAMILY =
  /msword|ms-excel|ms-powerpoint|ms-office|visio|outlook|ms-project|x-msi|publisher|octet-stream/;

export const SIGNATURES: readonly Signature[] = [
  { type: "image/png", offset: 0, bytes: [0x89, ...ascii("PNG\r\n\x1a\n")] },
  { type: "image/jpeg", offset: 0, bytes: [0xff, 0xd8, 0xff] },
  { type: "image/gif", offset: 0, bytes: ascii("GIF8") },
  { type: "image/tiff", offset: 0, bytes: ascii("II*\0"), family: /tiff|raw|dng|x-/ },
  { type: "image/tiff", offset: 0, bytes: ascii("MM\0*"), family: /tiff|raw|dng|x-/ },
  { type: "image/webp", offset: 8, bytes: ascii("WEBP") },
  { type: "audio/wav", offset: 8, bytes: ascii("WAVE"), family: /wav/ },
  { type: "video/x-msvideo", offset: 8, bytes: ascii("AVI ") },
  { type: "application/pdf", offset: 0, bytes: ascii("%PDF-"), family: /pdf|illustrator|postscript/ },
  { type: "application/zip", offset: 0, bytes: ascii("PK\x03\x04"), family: ZIP_FAMILY },
  { type: "application/zip", offset: 0, bytes: ascii("PK\x05\x06"), family: ZIP_FAMILY },
  { type: "application/gzip", offset: 0, bytes: [0x1f, 0x8b], family: /gzip|tgz|x-compressed|svg|warc/ },
  { type: "application/x-bzip2", offset: 0, bytes: ascii("BZh") },
  { type: "application/x-xz", offset: 0, bytes: [0xfd, ...ascii("7zXZ\0")], family: /xz/ },
  { type: "application/zstd", offset: 0, bytes: [0x28, 0xb5, 0x2f, 0xfd], family: /zst/ },
  { type: "application/x-7z-compressed", offset: 0, bytes: ascii("7z\xbc\xaf\x27\x1c") },
  { type: "application/vnd.rar", offset: 0, bytes: ascii("Rar!\x1a\x07"), family: /rar/ },
  { type: "application/x-tar", offset: 257, bytes: ascii("ustar"), family: /tar/ },
  { type: "application/x-elf", offset: 0, bytes: ascii("\x7fELF"), family: /elf|octet-stream|x-/ },
  {
    type: "application/vnd.microsoft.portable-executable",
    offset: 0,
    bytes: ascii("MZ"),
    family: /executable|x-ms|msdownload|octet-stream/,
  },
  {
    type: "application/x-mach-binary",
    offset: 0,
    bytes: [0xcf, 0xfa, 0xed, 0xfe],
    family: /mach|octet-stream/,
  },
  {
    type: "application/vnd.sqlite3",
    offset: 0,
    bytes: ascii("SQLite format 3\0"),
    family: /sqlite|octet-stream/,
  },
  { type: "application/vnd.tcpdump.pcap", offset: 0, bytes: [0xd4, 0xc3, 0xb2, 0xa1], family: /pcap/ },
  { type: "application/vnd.tcpdump.pcap", offset: 0, bytes: [0xa1, 0xb2, 0xc3, 0xd4], family: /pcap/ },
  { type: "application/x-pcapng", offset: 0, bytes: [0x0a, 0x0d, 0x0d, 0x0a], family: /pcap/ },
  {
    type: "application/x-ole-storage",
    offset: 0,
    bytes: [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1],
    family: OLE_FAMILY,
  },
  { type: "application/x-ms-evtx", offset: 0, bytes: ascii("ElfFile\0") },
  { type: "application/x-ms-registry-hive", offset: 0, bytes: ascii("regf") },
  { type: "video/mp4", offset: 4, bytes: ascii("ftyp"), family: /mp4|quicktime|heic|heif|avif|3gpp|m4a|m4v/ },
  { type: "video/webm", offset: 0, bytes: [0x1a, 0x45, 0xdf, 0xa3], family: /matroska|webm/ },
  { type: "audio/mpeg", offset: 0, bytes: ascii("ID3") },
  { type: "audio/flac", offset: 0, bytes: ascii("fLaC"), family: /flac/ },
  { type: "application/ogg", offset: 0, bytes: ascii("OggS"), family: /ogg|opus/ },
  { type: "application/rtf", offset: 0, bytes: ascii("{\\rtf"), family: /rtf/ },
  { type: "application/vnd.apache.parquet", offset: 0, bytes: ascii("PAR1") },
  { type: "application/wasm", offset: 0, bytes: ascii("\0asm") },
  { type: "application/java-vm", offset: 0, bytes: [0xca, 0xfe, 0xba, 0xbe], family: /java|mach/ },
];

/** Enough of a file's beginning for every signature and for telling text from binary. */
export const SNIFF_SIZE = 512;
export const FIRST_SIGNATURE = 2;
const BY_FIRST_BYTE: readonly (readonly number[])[] = Array.from({ length: 256 }, (_, first) =>
  SIGNATURES.flatMap((s, i) => (s.offset === 0 && s.bytes[0] === first ? [i] : [])),
);
const AT_OFFSET = SIGNATURES.flatMap((s, i) => (s.offset > 0 ? [i] : []));

/** The kind of content that a file's first bytes (up to SNIFF_SIZE) show, as a small number for `mediaTypes`. */
export function sniff(start: Uint8Array): number {
  const first = start[0];
  if (first === undefined) return UNKNOWN;
  for (const i of BY_FIRST_BYTE[first] as readonly number[])
    if (matches(start, i)) return FIRST_SIGNATURE + i;
  for (const i of AT_OFFSET) if (matches(start, i)) return FIRST_SIGNATURE + i;
  return looksLikeText(start) ? TEXT : UNKNOWN;
}

function matches(start: Uint8Array, index: number): boolean {
  const { offset, bytes } = SIGNATURES[index] as Signature;
  for (let i = 0; i < bytes.length; i++) if (start[offset + i] !== bytes[i]) return false;
  return true;
}

/** In any encoding that keeps ASCII: no control bytes but the usual white space and ESC; UTF-16 with a byte order mark counts as text too. */
function looksLikeText(start: Uint8Array): boolean {
  if ((start[0] === 0xff && start[1] === 0xfe) || (start[0] === 0xfe && start[1] === 0xff)) return true;
  const end = Math.min(start.length, SNIFF_SIZE);
  for (let i = 0; i < end; i++) {
    const byte = start[i] as number;
    if (byte < 0x20 && (byte < 0x09 || (byte > 0x0d && byte !== 0x1b))) return false;
    if (byte === 0x7f) return false;
  }
  return true;
}
