import { isUtf8 } from "node:buffer";
import type { CancelSignal } from "../../src-contract/progress.ts";
import { openFileSource } from "../archive/file-source.ts";
import { type FailureError, fail, throwIfCancelled } from "../failing.ts";
import type { RangeSource } from "../ports.ts";
import { MAX_LINE_BYTES } from "./manifest-layout.ts";

const READ_BYTES = 1024 * 1024;
const LF = 0x0a;

export interface ManifestOrigin {
  /** A file, opened anew for every pass, or a source that stays open and is the caller's to close. */
  readonly source: string | RangeSource;
  /** What failures name. */
  readonly subject: string;
}

/** MANIFEST_INVALID, naming the line (from 1) and what is wrong with it. */
export function invalidLine(origin: ManifestOrigin, line: number, what: string): FailureError {
  return fail(
    "MANIFEST_INVALID",
    `${origin.subject}, line ${line}: ${what}.`,
    "Get the package again from whoever sealed it; nothing was changed.",
    { subject: origin.subject, details: { line } },
  );
}

/**
 * The lines of a manifest in order, in batches of about 1 MiB, without their LF. Holds at most two such batches in memory.
 * Throws MANIFEST_INVALID for a line over the limit, for bytes that are not UTF-8 and for a last line without LF.
 */
export async function* manifestLines(
  origin: ManifestOrigin,
  signal: CancelSignal | undefined,
): AsyncGenerator<string[]> {
  const opened = typeof origin.source === "string" ? await openFileSource(origin.source) : origin.source;
  try {
    const buffer = Buffer.allocUnsafe(Math.min(MAX_LINE_BYTES + READ_BYTES, opened.size));
    let kept = 0;
    let line = 1;
    for (let offset = 0; offset < opened.size; ) {
      throwIfCancelled(signal);
      const count = Math.min(READ_BYTES, opened.size - offset);
      await opened.read(offset, buffer.subarray(kept, kept + count), signal);
      offset += count;
      const end = kept + count;
      const lastLf = buffer.subarray(0, end).lastIndexOf(LF);
      if (lastLf === -1) {
        if (end > MAX_LINE_BYTES) throw invalidLine(origin, line, `is longer than ${MAX_LINE_BYTES} bytes`);
        kept = end;
        continue;
      }
      const lines = decode(origin, buffer.subarray(0, lastLf), line);
      line += lines.length;
      yield lines;
      buffer.copyWithin(0, lastLf + 1, end);
      kept = end - lastLf - 1;
      if (kept > MAX_LINE_BYTES) throw invalidLine(origin, line, `is longer than ${MAX_LINE_BYTES} bytes`);
    }
    if (kept > 0) throw invalidLine(origin, line, "does not end in a line feed: the file is cut off");
  } finally {
    if (opened !== origin.source) await opened.close();
  }
}

function decode(origin: ManifestOrigin, bytes: Buffer, firstLine: number): string[] {
  const whole = isUtf8(bytes);
  const lines = bytes.toString(whole ? "utf8" : "latin1").split("\n");
  for (const [i, line] of lines.entries()) {
    if (!whole && !isUtf8(Buffer.from(line, "latin1"))) {
      throw invalidLine(origin, firstLine + i, "holds bytes that are not UTF-8");
    }
    // A line that began in the read before can have nearly twice the limit here.
    if (line.length * 3 > MAX_LINE_BYTES && Buffer.byteLength(line) > MAX_LINE_BYTES) {
      throw invalidLine(origin, firstLine + i, `is longer than ${MAX_LINE_BYTES} bytes`);
    }
  }
  return lines;
}
