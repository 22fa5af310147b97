import { asFailure, type FailureError, fail } from "../failing.ts";

/** Readings of the same bytes, each with another wrong digest, before it is believed that everything is damaged as it is read. */
const MOST_READS = 4;

/**
 * The digest that `read` answers: the expected one, or a wrong one that came twice, so that bytes damaged on their way are not taken for damage of
 * what is stored. Throws VAULT_UNREACHABLE where every reading differs: nothing is known of what is stored then. `what` names what is read.
 */
export async function confirmedDigest(
  read: () => Promise<string>,
  expected: string | undefined,
  what?: string,
): Promise<string> {
  const seen = new Set<string>();
  for (;;) {
    const actual = await read();
    if (actual === expected || seen.has(actual)) return actual;
    seen.add(actual);
    if (seen.size === MOST_READS) throw differing(what);
  }
}

/**
 * As `confirmedDigest`, for work that throws DIGEST_MISMATCH with the wrong digest in `details.actual` and the subject, and leaves nothing behind then.
 */
export async function untilConfirmed<T>(work: () => Promise<T>): Promise<T> {
  const seen = new Set<unknown>();
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const { code, details, subject } = asFailure(error).failure;
      if (code !== "DIGEST_MISMATCH" || seen.has(details?.actual)) throw error;
      seen.add(details?.actual);
      if (seen.size === MOST_READS) throw differing(subject, error);
    }
  }
}

function differing(what = "What is stored", cause?: unknown): FailureError {
  return fail(
    "VAULT_UNREACHABLE",
    `${what} was read ${MOST_READS} times, each time with other bytes, and never with the expected ones: the way to it, or the disks it lies on, damage what is read. Nothing is concluded of it, and nothing was taken away.`,
    "Check the network, this device's memory and the vault's disks, then run the same command again.",
    { cause, details: { reason: "every reading differs" } },
  );
}
