import type { Vault } from "../ports.ts";
import type { Bandwidth } from "./bandwidth.ts";
import { COMMAND_RETRY } from "./retry.ts";
import { tryingOnce, withRetry } from "./steady-vault.ts";

/** Below this limit, bytes per second, parts are fetched in slices: a request that lets the store wait for long is cut by it. */
const IN_SLICES_BELOW = 8 * 1024 * 1024;
const SMALLEST_SLICE = 64 * 1024;
const LARGEST_SLICE = 2 * 1024 * 1024;
/** A lane must get a turn this often, milliseconds, whatever the limit. */
const TURN_MS = 4000;
/** What the adapters send at once (src-core/vault/s3-exchange.ts). */
const SENT_AT_ONCE = 256 * 1024;

/**
 * The same vault, with all bytes of objects going through `bandwidth`. The fewer bytes a second, the fewer lanes. One that tries again does so still:
 * what is sent again counts again.
 */
export function pacedVault(steady: Vault, bandwidth: Bandwidth): Vault {
  const vault = tryingOnce(steady);
  const paced = pacedOnce(vault, bandwidth);
  return vault === steady ? paced : withRetry(paced, COMMAND_RETRY);
}

function pacedOnce(vault: Vault, bandwidth: Bandwidth): Vault {
  const { rate } = bandwidth;
  const lanes = rate === null ? Number.POSITIVE_INFINITY : Math.floor((rate * TURN_MS) / 1000 / SENT_AT_ONCE);
  const within = (wanted: number) => Math.max(1, Math.min(wanted, lanes));
  return {
    ...vault,
    lanes: { first: within(vault.lanes.first), most: within(vault.lanes.most) },

    put: (key, bytes, options = {}) =>
      vault.put(key, bytes, { ...options, pace: (count) => bandwidth.take(count, options.signal) }),

    putPart: (upload, part, options = {}) =>
      vault.putPart(upload, part, { ...options, pace: (count) => bandwidth.take(count, options.signal) }),

    async getRange(object, offset, target, signal) {
      await bandwidth.take(target.length, signal);
      await vault.getRange(object, offset, target, signal);
    },

    async readRange(object, offset, size, consume, signal) {
      for (let done = 0; done < size; ) {
        const slice = sliceOf(size - done, bandwidth.rate);
        const from = done;
        if (slice !== null) {
          await bandwidth.take(slice, signal);
          await vault.readRange(
            object,
            offset + from,
            slice,
            (at, bytes) => consume(from + at, bytes),
            signal,
          );
          done += slice;
        } else {
          const paced = async (at: number, bytes: Uint8Array) => {
            await bandwidth.take(bytes.length, signal);
            await consume(from + at, bytes);
          };
          await vault.readRange(object, offset + from, size - from, paced, signal);
          done = size;
        }
      }
    },
  };
}

/** Bytes of the next request; null for all that is left. */
function sliceOf(left: number, rate: number | null): number | null {
  if (rate === null || rate >= IN_SLICES_BELOW) return null;
  return Math.min(left, Math.max(SMALLEST_SLICE, Math.min(LARGEST_SLICE, Math.floor(rate / 2))));
}
