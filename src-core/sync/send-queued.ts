import type { Failure } from "../../src-contract/failure.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { VaultProblem } from "../catalog/vault-packages.ts";
import type { Core } from "../core.ts";
import { asFailure } from "../failing.ts";
import { withBandwidth } from "../transfer/bandwidth-limit.ts";
import { LaneCount } from "../transfer/lane-count.ts";
import { inLanes } from "../transfer/part-lanes.ts";
import { type QueueRow, unfinishedRows } from "../transfer/queue-rows.ts";
import { isStopped, isWork } from "../transfer/queue-standing.ts";
import { canHeal } from "../transfer/retry.ts";
import { runQueued } from "../transfer/run-queued.ts";

/** As the agent has it: one of them usually waits for a reply while the other moves bytes. */
const AT_ONCE = { first: 2, most: 2 };

/** Somebody else runs it, or had other wishes meanwhile. */
const OF_OTHERS = new Set<Failure["code"]>(["BUSY", "TRANSFER_PAUSED"]);

export interface SentPackages {
  readonly sent: number;
  /** What could not be sent: until somebody has seen to it, or for a fault that may be the package's own. */
  readonly problems: readonly VaultProblem[];
}

/**
 * Sends what is queued for an engagement's vault, each package once, as a command does for which somebody waits; what is paused or already runs is left.
 * Throws what no package would fare better with, such as VAULT_UNREACHABLE, and CANCELLED: all that was not sent stays queued. IO_ERROR is none of these:
 * it may be of the disk of one package's evidence, and where it is of the vault, whoever looks at that next meets it too.
 */
export async function sendQueued(
  core: Core,
  place: { readonly engagement: string; readonly vaultName: string },
  options: CallOptions,
): Promise<SentPackages> {
  const problems: VaultProblem[] = [];
  const tried = new Set<string>();
  let sent = 0;
  const isOurs = (row: QueueRow) =>
    row.direction === "push" && row.engagement === place.engagement && row.vault === place.vaultName;
  for (const { package_id: packageId, cause, paused } of unfinishedRows(core.ledger).filter(isOurs))
    if (cause !== null && !paused && isStopped({ cause })) problems.push({ packageId, failure: cause });
  /** What was not tried yet: more may be queued meanwhile. */
  const waiting = () =>
    unfinishedRows(core.ledger).filter(
      (row) => isOurs(row) && !tried.has(row.id) && isWork(row, core.clock.now()),
    );
  await withBandwidth(core.ledger, undefined, async (bandwidth) => {
    const send = async (row: QueueRow, signal: CallOptions["signal"]): Promise<void> => {
      try {
        await runQueued(core, row.id, { ...options, signal, bandwidth }, true);
        sent++;
      } catch (error) {
        const { failure } = asFailure(error);
        if (failure.code === "CANCELLED" && signal?.aborted !== true) return;
        if (failure.code === "CANCELLED" || (canHeal(failure) && failure.code !== "IO_ERROR")) throw error;
        if (!OF_OTHERS.has(failure.code)) problems.push({ packageId: row.package_id, failure });
      }
    };
    for (let rows = waiting(); rows.length > 0; rows = waiting()) {
      for (const { id } of rows) tried.add(id);
      const sized = rows.map((row) => ({ row, size: row.bytes_total ?? 0 }));
      await inLanes(sized, new LaneCount(AT_ONCE, core.clock), options.signal, ({ row }, signal) =>
        send(row, signal),
      );
    }
  });
  return { sent, problems };
}
