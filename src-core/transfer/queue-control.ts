import type { Failure } from "../../src-contract/failure.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { TransferSummary } from "../../src-contract/transfers.ts";
import type { ParsedRequest } from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import { asFailure, fail, throwIfCancelled } from "../failing.ts";
import { withBandwidth } from "./bandwidth-limit.ts";
import { dropLeftovers } from "./queue-leftovers.ts";
import { findTransfer, isOver, notePaused, type QueueRow, queueRow, setPriority } from "./queue-rows.ts";
import { runnerOf, summaryOf } from "./queue-standing.ts";
import { canHeal, sleep } from "./retry.ts";
import { runQueued } from "./run-queued.ts";
import { liveWorkers } from "./worker-registry.ts";

/** How long it is waited for that a running transfer does what was asked of it, milliseconds; it will in any case. */
const PATIENCE_MS = 15_000;
const LOOK_MS = 100;

/** Pauses a transfer, at once or by asking the process that runs it. It stays paused until it is resumed, or pushed or pulled by name. */
export async function pauseTransfer(
  core: Core,
  { transfer }: ParsedRequest<"transferPause">,
  { signal }: CallOptions,
): Promise<TransferSummary> {
  const { id } = unfinished(findTransfer(core.ledger, transfer), "pause");
  const asked = core.ledger.transaction(() => {
    const row = unfinished(queueRow(core.ledger, id), "pause");
    if (runnerOf(row, core.clock.now()) === null) notePaused(core.ledger, id);
    else if (!row.paused) ask(core, id, "pause");
  });
  asked.immediate();
  const row = await untilIdle(core, id, signal);
  if (row.wish === "pause" && runnerOf(row, core.clock.now()) === null) notePaused(core.ledger, id);
  return summaryNow(core, id);
}

/**
 * Ends a transfer for good and does away with what it sent or fetched so far; nothing that is stored is touched. What cannot be dropped now, since
 * the vault is away, is told by a warning and dropped later.
 */
export async function cancelTransfer(
  core: Core,
  { transfer }: ParsedRequest<"transferCancel">,
  { signal }: CallOptions,
  warn: (warning: Failure) => void,
): Promise<TransferSummary> {
  const { id } = unfinished(findTransfer(core.ledger, transfer), "cancel");
  const asked = core.ledger.transaction(() => {
    unfinished(queueRow(core.ledger, id), "cancel");
    ask(core, id, "cancel");
  });
  asked.immediate();
  const row = await untilIdle(core, id, signal);
  if (row.wish === "cancel" && runnerOf(row, core.clock.now()) === null) {
    try {
      const unsealed = await dropLeftovers(core, id);
      if (unsealed !== null) warn(leftUnsealed(row, unsealed));
    } catch (error) {
      const { failure } = asFailure(error);
      // A worker that was faster does the same.
      if (failure.code !== "BUSY") warn(leftForLater(row, failure));
    }
  }
  return summaryNow(core, id);
}

/**
 * Lets a transfer go on that was paused or stopped: by a worker where one lives, else by this call, to its end. With a priority, it gets that first.
 */
export async function resumeTransfer(
  core: Core,
  { transfer, priority }: ParsedRequest<"transferResume">,
  options: CallOptions,
): Promise<TransferSummary> {
  const { id } = unfinished(findTransfer(core.ledger, transfer), "resume");
  const readied = core.ledger.transaction(() => {
    const row = unfinished(queueRow(core.ledger, id), "resume");
    if (priority !== undefined) setPriority(core.ledger, id, priority);
    const running = runnerOf(row, core.clock.now()) !== null;
    core.ledger
      .prepare(
        `UPDATE transfers SET paused = 0, wish = NULL${running ? "" : ", cause = NULL, retry_at = NULL"} WHERE id = ?`,
      )
      .run(id);
    return !running && liveWorkers(core).length === 0;
  });
  if (readied.immediate()) {
    try {
      await withBandwidth(core.ledger, undefined, (bandwidth) =>
        runQueued(core, id, { ...options, bandwidth }, false),
      );
    } catch (error) {
      // Somebody else was faster; that it goes on is all that was asked for.
      if (asFailure(error).failure.code !== "BUSY") throw error;
    }
  }
  return summaryNow(core, id);
}

function ask(core: Core, id: string, wish: "pause" | "cancel"): void {
  core.ledger.prepare("UPDATE transfers SET wish = ? WHERE id = ?").run(wish, id);
}

/** The row once nobody runs it, or it took too long. */
async function untilIdle(core: Core, id: string, signal: CallOptions["signal"]): Promise<QueueRow> {
  const began = core.clock.now();
  for (;;) {
    throwIfCancelled(signal);
    const row = queueRow(core.ledger, id);
    const now = core.clock.now();
    if (runnerOf(row, now) === null || now - began > PATIENCE_MS) return row;
    await sleep(LOOK_MS, signal);
  }
}

function summaryNow(core: Core, id: string): TransferSummary {
  return summaryOf(core, queueRow(core.ledger, id));
}

/** Throws INVALID_INPUT for a transfer with which nothing can be done any more. */
function unfinished(row: QueueRow, what: string): QueueRow {
  if (!isOver(row) && row.wish !== "cancel") return row;
  const over = row.state === "stored" || row.state === "received" ? row.state : "cancelled";
  throw fail(
    "INVALID_INPUT",
    `Transfer ${row.id} of package ${row.package_id} is ${over} already: there is nothing to ${what}.`,
    row.direction === "push"
      ? `Nothing that is stored is ever taken away. To store the package anew: strongroom package push ${row.package_id}`
      : `To fetch the package anew: strongroom package pull ${row.package_id} --to DIR`,
    { subject: row.id },
  );
}

function leftUnsealed({ package_id: id, vault }: QueueRow, key: string): Failure {
  return {
    code: "PACKAGE_NOT_STORED",
    message: `The archive of package ${id} was whole in vault ${vault} before its push was cancelled. It stays there without a seal and does not count as stored.`,
    nextStep: `To make it count, push the package again; else delete ${key} with the vault's own tools.`,
    subject: key,
  };
}

function leftForLater({ package_id, vault, direction, target }: QueueRow, failure: Failure): Failure {
  return {
    ...failure,
    message: `What was transferred of package ${package_id} is still ${direction === "push" ? `in vault ${vault}` : `in ${target}`}: ${failure.message}`,
    nextStep: canHeal(failure)
      ? "A running agent drops it as soon as it can; so does: strongroom transfers orphans --abort"
      : `${failure.nextStep} Then: strongroom transfers orphans --abort`,
  };
}
