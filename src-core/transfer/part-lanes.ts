import type { CancelSignal } from "../../src-contract/progress.ts";
import { throwIfCancelled } from "../failing.ts";

/** Bytes [offset, offset + size) of an archive; numbers count from 1. */
export interface PartRange {
  readonly number: number;
  readonly offset: number;
  readonly size: number;
}

/** The part plan of `size` bytes. */
export function partRanges(size: number, partSize: number): PartRange[] {
  return Array.from({ length: Math.ceil(size / partSize) }, (_, index) => ({
    number: index + 1,
    offset: index * partSize,
    size: Math.min(partSize, size - index * partSize),
  }));
}

/**
 * Works through parts in order, `lanes` at a time. The first failure stops the rest: no further part is begun, those under way are told to
 * stop, and it is thrown once all of them have ended.
 */
export async function inLanes(
  parts: readonly PartRange[],
  lanes: number,
  signal: CancelSignal | undefined,
  work: (part: PartRange, signal: CancelSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const onAbort = () => stop.abort();
  signal?.addEventListener("abort", onAbort, { once: true });
  const failures: unknown[] = [];
  const queue = parts.values();
  const lane = async () => {
    for (const part of queue) {
      try {
        throwIfCancelled(signal);
        if (stop.signal.aborted) return;
        await work(part, stop.signal);
      } catch (error) {
        failures.push(error);
        stop.abort();
        return;
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(lanes, parts.length) }, lane));
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
  if (failures.length > 0) throw failures[0];
}
