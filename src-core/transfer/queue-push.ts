import { randomUUID } from "node:crypto";
import type { TransferSummary } from "../../src-contract/transfers.ts";
import type { ParsedRequest } from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import { fail } from "../failing.ts";
import type { LeaseHolder } from "./lease-holder.ts";
import {
  enterTransfer,
  findTransferOf,
  noteWanted,
  type QueueRow,
  queueRow,
  setPriority,
} from "./queue-rows.ts";
import { runnerOf, summaryOf } from "./queue-standing.ts";
import { plannedPush } from "./transport.ts";
import { isWorker, liveWorkers } from "./worker-registry.ts";

/**
 * Puts the push of a package into the queue and leaves it to a worker. Throws NO_WORKER, with the transfer queued all the same, when nothing runs
 * that would send it, and BUSY while somebody else sends it or it is being cancelled: then nobody can promise that it will be sent.
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
    const runner = known === null ? null : runnerOf(known, now);
    if (known !== null && runner !== null) requirePromise(core, known, runner);
    const runs = known !== null && runner !== null;
    const id = runs ? known.id : enterTransfer(core.ledger, randomUUID(), plan, now);
    if (runs) noteWanted(core.ledger, id);
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

/** Throws BUSY unless a worker runs the transfer and will go on with it. */
function requirePromise(core: Core, { package_id: id, wish }: QueueRow, runner: LeaseHolder): void {
  const details = { pid: runner.pid, machine: runner.machine };
  const process = `process ${runner.pid} on ${runner.machine}`;
  if (wish === "cancel") {
    throw fail(
      "BUSY",
      `The transfer of package ${id} is being cancelled by ${process}.`,
      "Wait until it is (strongroom transfers list), then run the command again.",
      { subject: id, details },
    );
  }
  if (isWorker(core, runner)) return;
  throw fail(
    "BUSY",
    `A command sends package ${id} already (${process}), and no agent goes on with it should that be stopped.`,
    "Leave it to that command; if it ends before the package is stored, run this one again.",
    { subject: id, details },
  );
}
