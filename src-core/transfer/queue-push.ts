import { randomUUID } from "node:crypto";
import type { TransferSummary } from "../../src-contract/transfers.ts";
import type { ParsedRequest } from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import { fail } from "../failing.ts";
import { enterTransfer, findTransferOf, queueRow, setPriority } from "./queue-rows.ts";
import { runnerOf, summaryOf } from "./queue-standing.ts";
import { plannedPush } from "./transport.ts";
import { liveWorkers } from "./worker-registry.ts";

/**
 * Puts the push of a package into the queue and leaves it to a worker. Throws NO_WORKER, with the transfer queued all the same, when nothing runs
 * that would send it.
 */
export async function queuePush(
  core: Core,
  request: ParsedRequest<"packageQueue">,
): Promise<TransferSummary> {
  const { plan } = await plannedPush(core, request.package);
  // In one transaction with the look for workers: one that ends does so only while the queue is empty.
  const enter = core.ledger.transaction(() => {
    const now = core.clock.now();
    const known = findTransferOf(core.ledger, plan);
    const runs = known !== null && runnerOf(known, now) !== null;
    const id = runs ? known.id : enterTransfer(core.ledger, randomUUID(), plan, now);
    if (request.priority !== undefined) setPriority(core.ledger, id, request.priority);
    return { id, alone: !runs && liveWorkers(core).length === 0 };
  });
  const { id, alone } = enter.immediate();
  const summary = summaryOf(core, queueRow(core.ledger, id));
  if (!alone) return summary;
  throw fail(
    "NO_WORKER",
    `Package ${summary.packageName} (${summary.package}) is queued as transfer ${id.slice(0, 8)}, but nothing runs that would send it.`,
    `Start 'strongroom agent', which sends all that is queued; or send it now: strongroom package push ${summary.package}`,
    { subject: summary.package, details: { transfer: id } },
  );
}
