import { isUtf8 } from "node:buffer";
import type { BagFindingCode } from "./rules.ts";

const MAX_LINE = 1024 * 1024;
const LF = 0x0a;
const CR = 0x0d;

/** How to read tag files: by bytes that can be cut at any line end, or by a decoder that keeps state. */
export type TagEncoding =
  | { readonly kind: "utf8" }
  | { readonly kind: "latin1" }
  | { readonly kind: "utf16" }
  | { readonly kind: "other"; readonly label: string };

/**
 * The encoding that bagit.txt declares (RFC 8493, section 2.1.1), or null when it is not known.
 * ISO-8859-1 is taken at its word; the WHATWG's decoder would read it as windows-1252.
 */
export function tagEncoding(declared: string): TagEncoding | null {
  const label = declared.toLowerCase();
  if (/^utf-?8$/.test(label) || label === "us-ascii" || label === "ascii") return { kind: "utf8" };
  if (/^(iso[-_]8859-1|latin-?1)$/.test(label)) return { kind: "latin1" };
  if (label === "utf-16") return { kind: "utf16" };
  try {
    return { kind: "other", label: new TextDecoder(label).encoding };
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** Hears of a line, by its number from 1, that breaks a rule; line 0 is the file as a whole. */
export type LineProblem = (
  code: Extract<BagFindingCode, "TAG_FILE_BOM" | "TAG_FILE_NOT_DECODABLE" | "TAG_FILE_LINE_TOO_LONG">,
  line: number,
) => void;

/** Whole lines as bytes, in pieces as they come; a byte-order mark is reported and cut off. */
async function* bytePieces(
  chunks: AsyncIterable<Uint8Array>,
  encoding: "utf8" | "latin1",
  problem: LineProblem,
): AsyncGenerator<{ text: string; broken: boolean }> {
  // Bytes that no line end has followed yet; joined once one has, since joining them at every chunk would copy them again and again.
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  let first = true;
  const decode = (bytes: Buffer): { text: string; broken: boolean } => ({
    text: bytes.toString(encoding),
    broken: encoding === "utf8" && !isUtf8(bytes),
  });
  const join = (last: Buffer): Buffer => {
    let bytes = pending.length === 0 ? last : Buffer.concat([...pending, last]);
    pending = [];
    pendingBytes = 0;
    if (first && encoding === "utf8" && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
      problem("TAG_FILE_BOM", 0);
      bytes = bytes.subarray(3);
    }
    first = false;
    return bytes;
  };
  for await (const chunk of chunks) {
    // A view, not a copy.
    const view = Buffer.from(chunk.buffer as ArrayBuffer, chunk.byteOffset, chunk.byteLength);
    const cut = Math.max(view.lastIndexOf(LF), view.lastIndexOf(CR)) + 1;
    // A line that never ends must not gather in memory: the line reader sees it in pieces and drops it.
    const upTo = cut === 0 && pendingBytes + view.length > MAX_LINE * 4 ? view.length : cut;
    if (upTo > 0) yield decode(join(view.subarray(0, upTo)));
    if (upTo === view.length) continue;
    pending.push(view.subarray(upTo));
    pendingBytes += view.length - upTo;
  }
  if (pendingBytes > 0) yield decode(join(Buffer.alloc(0)));
}

async function* decodedPieces(
  chunks: AsyncIterable<Uint8Array>,
  label: string | null,
): AsyncGenerator<{ text: string; broken: boolean }> {
  let decoder: InstanceType<typeof TextDecoder> | null = null;
  let start: Uint8Array = new Uint8Array(0);
  const piece = (text: string) => ({ text, broken: text.includes("\ufffd") });
  for await (const chunk of chunks) {
    if (decoder !== null) {
      yield piece(decoder.decode(chunk, { stream: true }));
      continue;
    }
    // The byte order is told by two bytes, which may come in two chunks.
    start = Buffer.concat([start, chunk]);
    if (start.length < 2) continue;
    decoder = new TextDecoder(label ?? utf16Label(start));
    yield piece(decoder.decode(start, { stream: true }));
  }
  if (decoder !== null) yield piece(decoder.decode());
  else if (start.length > 0) yield piece(new TextDecoder(label ?? "utf-16be").decode(start));
}

/** By the byte-order mark; without one by where the zero byte of the first character stands, since tag files begin with ASCII. */
function utf16Label(start: Uint8Array): string {
  const little = (start[0] === 0xff && start[1] === 0xfe) || (start[0] !== 0 && start[1] === 0);
  return little ? "utf-16le" : "utf-16be";
}

/**
 * The lines of a tag file without their ends, which are LF, CR or CRLF; the last line may lack one (RFC 8493, section 2.3).
 * They come in arrays, some megabytes at a time. What cannot be decoded is reported, and the line is passed on with U+FFFD in it.
 */
export async function* tagLines(
  chunks: AsyncIterable<Uint8Array>,
  encoding: TagEncoding,
  problem: LineProblem,
): AsyncGenerator<readonly string[]> {
  const pieces =
    encoding.kind === "utf8" || encoding.kind === "latin1"
      ? bytePieces(chunks, encoding.kind, problem)
      : decodedPieces(chunks, encoding.kind === "other" ? encoding.label : null);
  let rest = "";
  let afterCr = false;
  let dropping = false;
  let number = 0;
  for await (const { text, broken } of pieces) {
    if (text === "") continue;
    const lines = split(rest + (afterCr && text.startsWith("\n") ? text.slice(1) : text));
    afterCr = text.endsWith("\r");
    rest = lines.pop() ?? "";
    if (broken) {
      lines.forEach((line, i) => {
        if (line.includes("\ufffd")) problem("TAG_FILE_NOT_DECODABLE", number + i + 1);
      });
      if (rest.includes("\ufffd")) problem("TAG_FILE_NOT_DECODABLE", number + lines.length + 1);
    }
    if (dropping && lines.length > 0) {
      lines.shift();
      number += 1;
      dropping = false;
    }
    if (rest.length > MAX_LINE) {
      if (!dropping) problem("TAG_FILE_LINE_TOO_LONG", number + lines.length + 1);
      rest = "";
      dropping = true;
    }
    number += lines.length;
    if (lines.length > 0) yield lines;
  }
  if (rest !== "" && !dropping) yield [rest];
}

function split(text: string): string[] {
  return text.includes("\r") ? text.split(/\r\n|\n|\r/) : text.split("\n");
}
