import type { Failure, FailureCode } from "../../src-contract/failure.ts";
import { asFailure, FailureError } from "../failing.ts";
import type { Vault } from "../ports.ts";
import type { TransferLease } from "./journal.ts";

/** After these a transfer does not go on where it was: what was sent or received is dropped, and the next run begins anew. */
const ENDING: ReadonlySet<FailureCode> = new Set(["DIGEST_MISMATCH", "SOURCE_CHANGED", "OBJECT_CONFLICT"]);

/**
 * Notes in the journal why a transfer stopped and drops its uploads when it cannot go on (`ended`, or by the kind of failure).
 * Answers with the failure to throw. What could not be noted or dropped is in its details (`leftUndone`), and the next run does it.
 */
export async function stopTransfer(
  lease: TransferLease,
  vault: Pick<Vault, "abortUpload">,
  error: unknown,
  ended: boolean,
): Promise<FailureError> {
  const { failure } = asFailure(error);
  const over = ended || ENDING.has(failure.code);
  const leftUndone: Failure[] = [];
  const attempt = async (work: () => unknown) => {
    try {
      await work();
    } catch (problem) {
      leftUndone.push(asFailure(problem).failure);
    }
  };
  await attempt(() => lease.stop(failure, over));
  if (over) {
    for (const upload of lease.uploads()) {
      await attempt(async () => {
        await vault.abortUpload(upload);
        lease.dropUpload(upload.key);
      });
    }
  }
  if (leftUndone.length === 0) return asFailure(error);
  return new FailureError({ ...failure, details: { ...failure.details, leftUndone } }, error);
}
