import type { Failure } from "../../src-contract/failure.ts";
import type { TransferQueue, TransferStanding, TransferSummary } from "../../src-contract/transfers.ts";
import type { ParsedRequest } from "../../src-contract/vault-api.ts";
import type { Db } from "../catalog/database.ts";
import type { Core } from "../core.ts";
import { engagementById } from "../engagement/engagements.ts";
import { rfc3339FromMs } from "../package/times.ts";
import { keptLimit } from "./bandwidth-limit.ts";
import { isAlive, type LeaseHolder, thisProcess } from "./lease-holder.ts";
import { isOver, type QueueRow, rowsThatAreOver, unfinishedRows } from "./queue-rows.ts";
import { canHeal } from "./retry.ts";
import { liveWorkers } from "./worker-registry.ts";
import { untoldWait } from "./worker-waits.ts";

/** The process that runs a transfer now; null when none does, or the one that did is dead. */
export function runnerOf(
  { lease_holder: holder, lease_beat: beat }: QueueRow,
  now: number,
): LeaseHolder | null {
  return holder !== null && isAlive(holder, thisProcess(), now - (beat ?? 0)) ? holder : null;
}

/** Whether somebody has to do something before it goes on. */
export function isStopped({ cause }: Pick<QueueRow, "cause">): boolean {
  return cause !== null && !canHeal(cause);
}

/** Whether a worker is to run it, now or once what it waits for is over. */
export function isWork(row: QueueRow, now: number): boolean {
  return !isOver(row) && !row.paused && row.wish === null && !isStopped(row) && runnerOf(row, now) === null;
}

function standingOf(row: QueueRow, runs: boolean, hasWorker: boolean): TransferStanding {
  const { state, wish } = row;
  if (state === "stored" || state === "received" || state === "cancelled") return state;
  if (runs) return runningAs(row);
  if (wish === "cancel") return "cancelled";
  if (row.paused || wish === "pause") return "paused";
  if (isStopped(row)) return state === "failed" ? "failed" : "stopped";
  return row.retry_at !== null && hasWorker ? "waiting" : "queued";
}

function runningAs({ state, direction, cause }: QueueRow): TransferStanding {
  if (cause !== null) return "waiting";
  const checks =
    state === "checking" || state === "recording" || state === "sealing" || state === "publishing";
  if (checks) return "checking";
  return direction === "push" ? "sending" : "receiving";
}

/** One transfer for whoever looks at the queue. */
export function summaryOf(core: Pick<Core, "ledger" | "clock">, row: QueueRow): TransferSummary {
  return summary(core.ledger, row, core.clock.now(), liveWorkers(core).length > 0);
}

function summary(ledger: Db, row: QueueRow, now: number, hasWorker: boolean): TransferSummary {
  const untold = untoldWait(ledger, row.id);
  const runner = untold === null ? runnerOf(row, now) : null;
  const retryAt = untold?.retryAt ?? row.retry_at;
  const whole = row.bytes_done === row.bytes_total;
  return {
    id: row.id,
    direction: row.direction,
    package: row.package_id,
    packageName: row.package_name,
    engagement: row.engagement,
    vault: row.direction === "push" ? row.vault : null,
    to: row.folder,
    state: untold === null ? standingOf(row, runner !== null, hasWorker) : "waiting",
    bytesDone: row.bytes_done,
    bytesTotal: row.bytes_total,
    partsDone: whole && row.parts_total !== null ? row.parts_total : row.parts_done,
    partsTotal: row.parts_total,
    priority: row.priority,
    created: rfc3339FromMs(row.created),
    updated: rfc3339FromMs(row.updated),
    cause: untold === null ? row.cause : causeOf(untold.failure),
    nextTry: retryAt === null ? null : rfc3339FromMs(retryAt),
    wish: row.wish,
    process: runner === null ? null : { pid: runner.pid, machine: runner.machine },
  };
}

function causeOf({ code, message, nextStep }: Failure): TransferSummary["cause"] {
  return { code, message, nextStep };
}

/** The queue as it is now. Throws ENGAGEMENT_NOT_FOUND. */
export function listTransfers(
  core: Core,
  { engagement, all, since }: ParsedRequest<"transfersList">,
): TransferQueue {
  if (engagement !== undefined) engagementById(core, engagement);
  const overSince = all ? 0 : since === undefined ? null : Date.parse(since);
  const over = overSince === null ? [] : rowsThatAreOver(core.ledger, overSince);
  const rows = [...unfinishedRows(core.ledger), ...over];
  const wanted = rows.filter((row) => engagement === undefined || row.engagement === engagement);
  const now = core.clock.now();
  const workers = liveWorkers(core);
  return {
    transfers: wanted.map((row) => summary(core.ledger, row, now, workers.length > 0)),
    workers,
    bytesPerSecond: keptLimit(core.ledger),
  };
}
