import type { CancelSignal } from "../../src-contract/progress.ts";
import { throwIfCancelled } from "../failing.ts";
import type { ObjectInfo, Vault } from "../ports.ts";
import { sharedBytes, startDigest } from "./running-digest.ts";

/** Large enough that the cost of a call does not show, small enough that memory stays flat however large a part is. */
const CHUNK = 2 * 1024 * 1024;

export type Step = (at: number, bytes: Uint8Array) => Promise<void>;

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
 * Hands bytes on that come in of themselves: they are put into `room`, in pieces of any size, and consumed in chunks from two buffers, the next being
 * filled while the last is consumed. At most `size` bytes. Chunks and their bytes as for `pumpRange`. Ends with `end` or `close`.
 */
export class Pour {
  readonly #buffers = [spare.pop() ?? sharedBytes(CHUNK), spare.pop() ?? sharedBytes(CHUNK)] as const;
  readonly #size: number;
  readonly #consume: Step;
  #turn: 0 | 1 = 0;
  #at = 0;
  #filled = 0;
  /** The last chunk handed on, and the one before it. */
  #last: Promise<void> = Promise.resolve();
  #before: Promise<void> = this.#last;

  constructor(size: number, consume: Step) {
    this.#size = size;
    this.#consume = consume;
  }

  /** Bytes that are still to come. */
  get left(): number {
    return this.#size - this.#at - this.#filled;
  }

  /** Where the next bytes belong, at most all that are still to come; free once the last `took` has settled. */
  get room(): Uint8Array {
    return this.#buffers[this.#turn].subarray(this.#filled, Math.min(CHUNK, this.#filled + this.left));
  }

  /** `count` bytes were put into `room`. Null when there is room for more at once; else it settles when there is, or fails as a consumer did. */
  took(count: number): Promise<void> | null {
    this.#filled += count;
    if (this.#filled < CHUNK && this.left > 0) return null;
    const at = this.#at;
    const chunk = this.#buffers[this.#turn].subarray(0, this.#filled);
    this.#at += this.#filled;
    this.#filled = 0;
    this.#turn = this.#turn === 0 ? 1 : 0;
    this.#before = this.#last;
    this.#last = this.#before.then(() => this.#consume(at, chunk));
    // Awaited later; a failure must not be called unhandled until then.
    this.#last.catch(() => undefined);
    return this.#before;
  }

  /** Waits until all that came is consumed. Fails as a consumer did. */
  async end(): Promise<void> {
    await this.#last;
  }

  /** Gives the buffers back once nobody consumes any more. Nothing may be put into them after this is called. */
  async close(): Promise<void> {
    await Promise.allSettled([this.#last]);
    spare.push(...this.#buffers);
  }
}

/** Hands the bytes of a stream on as `Pour` does; the stream waits when both buffers are full. Answers how many came; throws RangeError for more than `size`. */
export async function pourStream(
  stream: AsyncIterable<Uint8Array>,
  size: number,
  consume: Step,
): Promise<number> {
  const pour = new Pour(size, consume);
  try {
    for await (const piece of stream) {
      if (piece.length > pour.left) throw new RangeError(`more than ${size} bytes came`);
      for (let taken = 0; taken < piece.length; ) {
        const bytes = piece.subarray(taken, taken + pour.room.length);
        pour.room.set(bytes);
        taken += bytes.length;
        await pour.took(bytes.length);
      }
    }
    await pour.end();
    return size - pour.left;
  } finally {
    await pour.close();
  }
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
  return digestChunks(size, (consume) => pumpRange(size, read, consume, options.signal), options.also);
}

/** SHA-256 (lower-case hex) of a range of a stored object, streamed and computed off the calling thread. */
export function digestStored(
  vault: Pick<Vault, "readRange">,
  object: ObjectInfo,
  { offset, size }: { readonly offset: number; readonly size: number },
  { also, signal }: DigestOptions = {},
): Promise<string> {
  return digestChunks(size, (consume) => vault.readRange(object, offset, size, consume, signal), also);
}

async function digestChunks(
  size: number,
  run: (consume: Step) => Promise<void>,
  also: Step | undefined,
): Promise<string> {
  const digest = startDigest(size);
  try {
    await run((at, bytes) => both(digest.update(bytes), also?.(at, bytes) ?? Promise.resolve()));
    return await digest.hex();
  } catch (error) {
    await digest.drop();
    throw error;
  }
}
