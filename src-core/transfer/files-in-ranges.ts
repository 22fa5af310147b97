import type { Manifest } from "../package/manifest-reader.ts";

/** So many names are kept for one range, and for all together: a report of a ruined archive stays readable, and memory flat. */
const MOST_NAMES = 1000;
const MOST_NAMES_IN_ALL = 20_000;

/** Bytes [start, end) of an archive. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface FilesInRange {
  readonly count: number;
  /** Payload paths, the first ones. */
  readonly names: readonly string[];
  /** Bytes of the bag's own tag files lie in it too, or the archive's end. */
  readonly tagFiles: boolean;
}

/** Which files' content lies in which of the ranges, that are in order and do not overlap, by the offsets of the manifest. Reads it once. */
export async function filesInRanges(
  manifest: Manifest,
  ranges: readonly ByteRange[],
): Promise<readonly FilesInRange[]> {
  const found = ranges.map(() => ({ count: 0, names: [] as string[], tagFiles: false }));
  let named = 0;
  let first = 0;
  let payloadEnd = 0;
  for await (const records of manifest.files()) {
    for (const { path, offset, size } of records) {
      const end = offset + size;
      payloadEnd = end;
      if (size === 0) continue;
      while (first < ranges.length && (ranges[first] as ByteRange).end <= offset) first++;
      for (let at = first; at < ranges.length && (ranges[at] as ByteRange).start < end; at++) {
        const range = found[at] as (typeof found)[number];
        range.count++;
        if (range.names.length >= MOST_NAMES || named >= MOST_NAMES_IN_ALL) continue;
        range.names.push(path);
        named++;
      }
    }
  }
  for (const [at, range] of ranges.entries()) {
    if (range.end > Math.ceil(payloadEnd / BLOCK) * BLOCK)
      (found[at] as { tagFiles: boolean }).tagFiles = true;
  }
  return found;
}

/** Of a tar. */
const BLOCK = 512;
