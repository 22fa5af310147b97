import { createHash } from "node:crypto";
import type { CancelSignal } from "../../src-contract/progress.ts";
import { cancelled, throwIfCancelled } from "../failing.ts";
import type { ObjectInfo, Vault } from "../ports.ts";
import { confirmedDigest } from "../transfer/confirmed-digest.ts";
import { digestStored } from "./pump-range.ts";

/** A stream that is read once, with what is known of it when it has ended. */
export interface CountedStream extends AsyncIterable<Uint8Array> {
  /** Bytes that came so far. */
  readonly bytes: () => number;
  /** SHA-256 hex of them; called once, at the end. */
  readonly sha256: () => string;
}

/** Counts and hashes what comes, and ends with CANCELLED once the signal is given, also while nothing comes. */
export function counted(stream: AsyncIterable<Uint8Array>, signal: CancelSignal | undefined): CountedStream {
  const digest = createHash("sha256");
  let bytes = 0;
  async function* pieces(): AsyncGenerator<Uint8Array> {
    const iterator = stream[Symbol.asyncIterator]();
    let ended = false;
    try {
      for (;;) {
        const next = await nextOrStop(iterator, signal);
        ended = next.done === true;
        if (next.done === true) return;
        digest.update(next.value);
        bytes += next.value.length;
        yield next.value;
      }
    } finally {
      // Not awaited: a source that says nothing would be waited for. It is the caller's to close.
      if (!ended) void Promise.resolve(iterator.return?.()).catch(() => undefined);
    }
  }
  return { [Symbol.asyncIterator]: pieces, bytes: () => bytes, sha256: () => digest.digest("hex") };
}

function nextOrStop<T>(
  iterator: AsyncIterator<T>,
  signal: CancelSignal | undefined,
): Promise<IteratorResult<T>> {
  throwIfCancelled(signal);
  return new Promise((resolve, reject) => {
    const stop = () => reject(cancelled());
    signal?.addEventListener("abort", stop, { once: true });
    iterator
      .next()
      .then(resolve, reject)
      .finally(() => signal?.removeEventListener("abort", stop));
  });
}

/** Tries work again that time can heal. */
export type Again = <T>(work: () => Promise<T>) => Promise<T>;

export const once: Again = (work) => work();

/**
 * Whether what is stored has these bytes, by reading it; each reading by way of `again`. Other bytes are read again, since a connection may damage
 * them: nothing is called another object by one look.
 */
export async function holds(
  vault: Pick<Vault, "readRange">,
  stored: ObjectInfo,
  expected: { readonly bytes: number; readonly sha256: string },
  { signal, again }: { readonly signal: CancelSignal | undefined; readonly again: Again },
): Promise<boolean> {
  if (stored.size !== expected.bytes) return false;
  const whole = { offset: 0, size: stored.size };
  const read = () => again(() => digestStored(vault, stored, whole, { signal }));
  return (await confirmedDigest(read, expected.sha256)) === expected.sha256;
}
