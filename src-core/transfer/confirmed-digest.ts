import { asFailure } from "../failing.ts";

/** Reads of a range whose digest is not the expected one, before it is believed that the connection damages everything. */
const MOST_READS = 4;

/**
 * The digest that `read` answers: the expected one, or a wrong one that came twice, so that bytes damaged on their way are not taken for damage of
 * what is stored. Where every read differs, the last digest.
 */
export async function confirmedDigest(
  read: () => Promise<string>,
  expected: string | undefined,
): Promise<string> {
  const seen = new Set<string>();
  for (let reads = 1; ; reads++) {
    const actual = await read();
    if (actual === expected || seen.has(actual) || reads === MOST_READS) return actual;
    seen.add(actual);
  }
}

/** As `confirmedDigest`, for work that throws DIGEST_MISMATCH with the wrong digest in `details.actual` and leaves nothing behind then. */
export async function untilConfirmed<T>(work: () => Promise<T>): Promise<T> {
  const seen = new Set<unknown>();
  for (let reads = 1; ; reads++) {
    try {
      return await work();
    } catch (error) {
      const { code, details } = asFailure(error).failure;
      if (code !== "DIGEST_MISMATCH" || seen.has(details?.actual) || reads === MOST_READS) throw error;
      seen.add(details?.actual);
    }
  }
}
