import type { Failure, FailureCode } from "../../src-contract/failure.ts";
import { asFailure, FailureError, fail } from "../failing.ts";
import type { Vault } from "../ports.ts";
import type { TransferLease } from "./journal.ts";
import { canHeal } from "./retry.ts";

/** After these a transfer does not go on where it was: what was sent or received is dropped, and the next run begins anew. */
const ENDING: ReadonlySet<FailureCode> = new Set(["DIGEST_MISMATCH", "SOURCE_CHANGED", "OBJECT_CONFLICT"]);

/**
 * Notes in the journal why a transfer stopped and drops its uploads when it cannot go on (`ended`, or by the kind of failure). Where somebody asked
 * for a pause or its end, that is what is noted. Answers with the failure to throw. What could not be noted or dropped is in its details
 * (`leftUndone`), and the next run does it. Without a vault nothing is dropped.
 */
export async function stopTransfer(
  lease: TransferLease,
  vault: Pick<Vault, "abortUpload"> | null,
  error: unknown,
  ended: boolean,
): Promise<FailureError> {
  const { failure } = asFailure(error);
  const leftUndone: Failure[] = [];
  const attempt = async <T>(work: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (problem) {
      leftUndone.push(asFailure(problem).failure);
      return undefined;
    }
  };
  const asked = await wished(lease, failure, attempt);
  if (asked !== null) return withUndone(asked, leftUndone);
  const over = ended || ENDING.has(failure.code);
  const putDown = failure.code === "CANCELLED" && lease.putDown;
  await attempt(() => lease.stop(putDown ? null : failure, over));
  if (over && vault !== null) {
    for (const upload of lease.uploads()) {
      await attempt(async () => {
        await vault.abortUpload(upload);
        lease.dropUpload(upload.key);
      });
    }
  }
  return withUndone(asFailure(error), leftUndone);
}

type Attempt = <T>(work: () => T | Promise<T>) => Promise<T | undefined>;

/** Does what was asked of this run; null when nothing was, or it has come to another end already. */
async function wished(
  lease: TransferLease,
  failure: Failure,
  attempt: Attempt,
): Promise<FailureError | null> {
  const wish = await attempt(() => lease.wish());
  if (wish === "cancel") {
    await attempt(() => lease.cancel());
    return cancelledByWish(lease);
  }
  if (wish === "pause" && (failure.code === "CANCELLED" || canHeal(failure))) {
    await attempt(() => lease.pause());
    return paused(lease);
  }
  return null;
}

function withUndone(error: FailureError, leftUndone: readonly Failure[]): FailureError {
  if (leftUndone.length === 0) return error;
  const { failure } = error;
  return new FailureError({ ...failure, details: { ...failure.details, leftUndone } }, error);
}

function paused({ id, found }: TransferLease): FailureError {
  return fail(
    "TRANSFER_PAUSED",
    `The transfer of package ${found.packageId} was paused; what was transferred is kept.`,
    `Let it go on with: strongroom transfers resume ${id.slice(0, 8)}`,
    { subject: id },
  );
}

function cancelledByWish({ id, found }: TransferLease): FailureError {
  return fail(
    "CANCELLED",
    `The transfer of package ${found.packageId} was cancelled by: strongroom transfers cancel.`,
    "Nothing of it is kept. Begin it anew with the same command, if it is wanted after all.",
    { subject: id },
  );
}
