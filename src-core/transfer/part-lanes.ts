import type { CancelSignal } from "../../src-contract/progress.ts";
import { throwIfCancelled } from "../failing.ts";
import type { LaneCount } from "./lane-count.ts";

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
 * Works through parts, or other things of a size, in order, as many at a time as `lanes` says at the moment. The first failure stops the rest: no further part is begun,
 * those under way are told to stop, and it is thrown once all of them have ended.
 */
export async function inLanes<P extends { readonly size: number }>(
  parts: readonly P[],
  lanes: LaneCount,
  signal: CancelSignal | undefined,
  work: (part: P, signal: CancelSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const onAbort = () => stop.abort();
  signal?.addEventListener("abort", onAbort, { once: true });
  const failures: unknown[] = [];
  const queue = parts.values();
  const running = new Set<Promise<void>>();
  const run = async (part: P): Promise<void> => {
    try {
      throwIfCancelled(signal);
      await work(part, stop.signal);
      lanes.moved(part.size);
    } catch (error) {
      failures.push(error);
      stop.abort();
    }
  };
  try {
    for (;;) {
      while (running.size < lanes.current && !stop.signal.aborted) {
        const { value: part } = queue.next();
        if (part === undefined) break;
        const lane: Promise<void> = run(part).finally(() => running.delete(lane));
        running.add(lane);
      }
      if (running.size === 0) break;
      await Promise.race(running);
    }
    if (failures.length === 0) throwIfCancelled(signal);
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
  if (failures.length > 0) throw failures[0];
}
