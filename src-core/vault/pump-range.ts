import type { CancelSignal } from "../../src-contract/progress.ts";
import { throwIfCancelled } from "../failing.ts";
import { sharedBytes, startDigest } from "./running-digest.ts";

/** Large enough that the cost of a call does not show, small enough that memory stays flat however large a part is. */
const CHUNK = 2 * 1024 * 1024;

type Step = (at: number, bytes: Uint8Array) => Promise<void>;

/**
 * Buffers that no transfer uses now. Garbage collection frees shared memory far too late for a stream of parts, so they are used again.
 * No more come into being than are in use at once.
 */
const spare: Uint8Array[] = [];

/**
 * Moves `size` bytes in chunks through two buffers: the next chunk is read while the last is consumed. Chunks are consumed in order,
 * one at a time. Once it settles, no consume is under way any more, so that files can be closed.
 * `at` counts from 0; the bytes belong to `read` and `consume` until these settle.
 */
async function pumpRange(size: number, read: Step, consume: Step, signal?: CancelSignal): Promise<void> {
  const buffers = [spare.pop() ?? sharedBytes(CHUNK), spare.pop() ?? sharedBytes(CHUNK)];
  let consuming: Promise<void> = Promise.resolve();
  try {
    for (let at = 0, turn = 0; at < size; at += CHUNK, turn = 1 - turn) {
      throwIfCancelled(signal);
      const bytes = (buffers[turn] as Uint8Array).subarray(0, Math.min(CHUNK, size - at));
      await both(read(at, bytes), consuming);
      consuming = consume(at, bytes);
    }
    await consuming;
  } finally {
    await Promise.allSettled([consuming]);
  }
  // After a failure they are not used again: a source that gave up early may still write into them.
  spare.push(...buffers);
}

/** Waits for both to settle, then throws the first failure. */
async function both(one: Promise<unknown>, other: Promise<unknown>): Promise<void> {
  for (const result of await Promise.allSettled([one, other])) {
    if (result.status === "rejected") throw result.reason;
  }
}

/**
 * SHA-256 (lower-case hex) of `size` bytes that `read` delivers, computed off the calling thread.
 * `also` runs beside the digest on every chunk, before the next one is read into its buffer.
 */
export async function digestRange(
  size: number,
  read: Step,
  options: { readonly also?: Step; readonly signal?: CancelSignal | undefined } = {},
): Promise<string> {
  const digest = startDigest();
  try {
    await pumpRange(
      size,
      read,
      async (at, bytes) => {
        await both(digest.update(bytes), options.also?.(at, bytes) ?? Promise.resolve());
      },
      options.signal,
    );
    return await digest.hex();
  } catch (error) {
    await digest.drop();
    throw error;
  }
}
