import type { CancelSignal } from "../../src-contract/progress.ts";
import { throwIfCancelled } from "../failing.ts";
import type { ObjectInfo, Vault } from "../ports.ts";
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
export async function pumpRange(
  size: number,
  read: Step,
  consume: Step,
  signal?: CancelSignal,
): Promise<void> {
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

/**
 * Hands the bytes of a stream on in chunks through two buffers, so that the next chunk is filled while the last is consumed, and the stream waits
 * when both are full. Answers how many bytes came; at most `size`, beyond which it throws RangeError. Bytes as for `pumpRange`.
 */
export async function pourStream(
  stream: AsyncIterable<Uint8Array>,
  size: number,
  consume: Step,
): Promise<number> {
  const buffers = [spare.pop() ?? sharedBytes(CHUNK), spare.pop() ?? sharedBytes(CHUNK)];
  let consuming: Promise<void> = Promise.resolve();
  let [at, filled, turn] = [0, 0, 0];
  const flush = async () => {
    await consuming;
    consuming = consume(at, (buffers[turn] as Uint8Array).subarray(0, filled));
    // Awaited with the next chunk or at the end; a failure must not be called unhandled until then.
    consuming.catch(() => undefined);
    at += filled;
    filled = 0;
    turn = 1 - turn;
  };
  try {
    for await (const piece of stream) {
      if (at + filled + piece.length > size) throw new RangeError(`more than ${size} bytes came`);
      for (let taken = 0; taken < piece.length; ) {
        const count = Math.min(piece.length - taken, CHUNK - filled);
        (buffers[turn] as Uint8Array).set(piece.subarray(taken, taken + count), filled);
        taken += count;
        filled += count;
        if (filled === CHUNK) await flush();
      }
    }
    if (filled > 0) await flush();
    await consuming;
  } finally {
    await Promise.allSettled([consuming]);
    // Nobody but `consume` writes or reads them, and it has ended.
    spare.push(...buffers);
  }
  return at;
}

/** Waits for both to settle, then throws the first failure. */
async function both(one: Promise<unknown>, other: Promise<unknown>): Promise<void> {
  for (const result of await Promise.allSettled([one, other])) {
    if (result.status === "rejected") throw result.reason;
  }
}

/** `also` runs beside the digest on every chunk, before the next one takes its buffer. */
interface DigestOptions {
  readonly also?: Step;
  readonly signal?: CancelSignal | undefined;
}

/** SHA-256 (lower-case hex) of `size` bytes that `read` delivers, computed off the calling thread. */
export function digestRange(size: number, read: Step, options: DigestOptions = {}): Promise<string> {
  return digestChunks((consume) => pumpRange(size, read, consume, options.signal), options.also);
}

/** SHA-256 (lower-case hex) of a range of a stored object, streamed and computed off the calling thread. */
export function digestStored(
  vault: Pick<Vault, "readRange">,
  object: ObjectInfo,
  { offset, size }: { readonly offset: number; readonly size: number },
  { also, signal }: DigestOptions = {},
): Promise<string> {
  return digestChunks((consume) => vault.readRange(object, offset, size, consume, signal), also);
}

async function digestChunks(run: (consume: Step) => Promise<void>, also: Step | undefined): Promise<string> {
  const digest = startDigest();
  try {
    await run((at, bytes) => both(digest.update(bytes), also?.(at, bytes) ?? Promise.resolve()));
    return await digest.hex();
  } catch (error) {
    await digest.drop();
    throw error;
  }
}
