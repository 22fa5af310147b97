import { randomUUID } from "node:crypto";
import { z } from "zod";
import { type Db, databaseFailure } from "../catalog/database.ts";
import { asFailure, type FailureError, fail } from "../failing.ts";
import type { Clock } from "../ports.ts";
import { PULL_STATES, PUSH_STATES, TransferLease, type TransferPlan } from "./journal.ts";
import { isAlive, type LeaseHolder, leaseHolderSchema, thisProcess } from "./lease-holder.ts";
import { enterTransfer, isOver, setPriority } from "./queue-rows.ts";

/** How often it is tried to give a lease back that could not be given back at once, milliseconds. */
const LET_GO_AGAIN_MS = 500;

const rowSchema = z.object({
  id: z.string(),
  direction: z.enum(["push", "pull"]),
  package_id: z.string(),
  package_digest: z.string(),
  state: z.enum([...PUSH_STATES, ...PULL_STATES]),
  paused: z.number(),
  wish: z.string().nullable(),
  lease_token: z.string().nullable(),
  lease_holder: z.string().nullable(),
  lease_beat: z.number().nullable(),
});
type Row = z.infer<typeof rowSchema>;

/**
 * Takes the lease of a transfer that somebody asks for now; it is entered in the journal first when it is new. Throws BUSY, naming the process,
 * while another call or process runs it; the lease of a process that died is taken over at once. Release it in every case.
 */
export function leaseTransfer(db: Db, plan: TransferPlan, clock: Clock, priority?: number): TransferLease {
  return take(db, clock, () => {
    const id = enterTransfer(db, randomUUID(), plan, clock.now());
    if (priority !== undefined) setPriority(db, id, priority);
    return id;
  });
}

/** As `leaseTransfer`, for one that waits in the queue. Throws TRANSFER_PAUSED when somebody had other wishes meanwhile. */
export function leaseQueued(db: Db, id: string, clock: Clock): TransferLease {
  return take(
    db,
    clock,
    () => {
      db.prepare("UPDATE transfers SET cause = NULL, retry_at = NULL WHERE id = ?").run(id);
      return id;
    },
    (row) => {
      if (row.paused === 0 && row.wish === null && !isOver(row)) return;
      throw fail(
        "TRANSFER_PAUSED",
        `The transfer of package ${row.package_id} was paused or ended meanwhile.`,
        "See how it stands: strongroom transfers list --all",
        { subject: id },
      );
    },
  );
}

/** As `leaseTransfer`, to do away with what a transfer left. */
export function leaseLeftovers(db: Db, id: string, clock: Clock): TransferLease {
  return take(db, clock, () => id);
}

/** Finds the transfer and takes its lease in one transaction, unless `check` throws. */
function take(db: Db, clock: Clock, find: () => string, check: (row: Row) => void = () => undefined) {
  const me = thisProcess();
  const token = randomUUID();
  const lease = db.transaction((): Row => {
    const id = find();
    const row = rowSchema.parse(db.prepare("SELECT * FROM transfers WHERE id = ?").get(id));
    if (row.lease_token !== null && row.lease_holder !== null) {
      const holder = leaseHolderSchema.parse(JSON.parse(row.lease_holder));
      if (isAlive(holder, me, clock.now() - (row.lease_beat ?? 0))) throw busy(holder, row);
    }
    check(row);
    db.prepare("UPDATE transfers SET lease_token = ?, lease_holder = ?, lease_beat = ? WHERE id = ?").run(
      ...[token, JSON.stringify(me), clock.now(), row.id],
    );
    return row;
  });
  try {
    const { id, state, package_id: packageId, package_digest: packageDigest } = lease.immediate();
    return new TransferLease(db, { id, state, packageId, packageDigest }, token, clock);
  } catch (error) {
    throw databaseFailure(error, db.name);
  }
}

/**
 * Releases a lease, as soon as it can be where the ledger cannot be written now: it would look held for as long as this process lives. How the run
 * ended counts, not that.
 */
export function letGo(lease: TransferLease): void {
  try {
    lease.release();
  } catch (error) {
    if (lease.isClosed || asFailure(error).failure.code === "INTERNAL") throw error;
    const again = setInterval(() => {
      try {
        if (!lease.isClosed) lease.release();
      } catch {
        return;
      }
      clearInterval(again);
    }, LET_GO_AGAIN_MS);
    again.unref();
  }
}

function busy(holder: LeaseHolder, { direction, package_id: packageId }: Row): FailureError {
  return fail(
    "BUSY",
    `Process ${holder.pid} on ${holder.machine} is already ${direction === "push" ? "sending" : "fetching"} package ${packageId}.`,
    "Wait for it to end, or end it; then run the command again.",
    { subject: packageId, details: { pid: holder.pid, machine: holder.machine } },
  );
}
