import type { Core } from "../core.ts";
import { pullQueued } from "./pull.ts";
import { leaseQueued } from "./queue-lease.ts";
import { queueRow } from "./queue-rows.ts";
import { type RunOptions, underLease } from "./queue-run.ts";
import { pushQueued } from "./transport.ts";

/**
 * Runs a transfer that waits in the queue, to its end. `putDown`: when told to end, it is left for any worker to go on with; else it is stopped until
 * somebody resumes it. Throws BUSY or TRANSFER_PAUSED when it is not to be run any more, else how it ended.
 */
export async function runQueued(
  core: Core,
  id: string,
  options: RunOptions,
  putDown: boolean,
): Promise<void> {
  const lease = leaseQueued(core.ledger, id, core.clock);
  lease.putDown = putDown;
  const row = queueRow(core.ledger, id);
  const total = row.bytes_total ?? 0;
  await underLease<unknown>(lease, core.clock, total, options, (run) =>
    row.direction === "push" ? pushQueued(core, lease, row, run) : pullQueued(core, lease, row, run),
  );
}
