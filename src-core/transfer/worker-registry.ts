import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { WorkerSummary } from "../../src-contract/transfers.ts";
import type { Core } from "../core.ts";
import { asFailure, fail } from "../failing.ts";
import { rfc3339FromMs } from "../package/times.ts";
import { BEAT_MS, isAlive, type LeaseHolder, leaseHolderSchema, thisProcess } from "./lease-holder.ts";

interface Row {
  readonly id: string;
  readonly kind: WorkerSummary["kind"];
  readonly holder: string;
  readonly beat: number;
  readonly started: number;
}

/** A process that is known to do queued work, until it is closed. */
export interface Registered {
  /** Takes it off the list if `isIdle`, in one transaction with what puts work into the queue; answers whether it did. */
  leaveIf(isIdle: () => boolean): boolean;
  close(): void;
}

/** Processes that do queued work and may be alive. */
export function liveWorkers(core: Pick<Core, "ledger" | "clock">): readonly WorkerSummary[] {
  return liveRows(core).map(({ kind, holder, started }) => {
    const { pid, machine } = leaseHolderSchema.parse(JSON.parse(holder));
    return { kind, pid, machine, started: rfc3339FromMs(started) };
  });
}

/** Whether the process that runs a transfer is one of them: what it puts down it takes up again, or the next one does. */
export function isWorker(core: Pick<Core, "ledger" | "clock">, runner: LeaseHolder): boolean {
  return liveRows(core).some(({ holder }) =>
    isDeepStrictEqual(leaseHolderSchema.parse(JSON.parse(holder)), runner),
  );
}

function liveRows({ ledger, clock }: Pick<Core, "ledger" | "clock">): readonly Row[] {
  const me = thisProcess();
  return ledger
    .prepare<[], Row>("SELECT id, kind, holder, beat, started FROM workers ORDER BY started")
    .all()
    .filter((row) => isAlive(leaseHolderSchema.parse(JSON.parse(row.holder)), me, clock.now() - row.beat));
}

/** Leaves, as soon as the ledger can be written: how the work ended counts, not that. */
function leaveInTime(ledger: Core["ledger"], leave: () => void): void {
  if (!ledger.open) return;
  try {
    leave();
  } catch (error) {
    if (asFailure(error).failure.code === "INTERNAL") throw error;
    setTimeout(() => leaveInTime(ledger, leave), BEAT_MS).unref();
  }
}

/** Makes this process known as the one agent of its state folder. Throws BUSY while there is another; one that died is forgotten. */
export function registerAgent(core: Core): Registered {
  const { ledger, clock } = core;
  const id = randomUUID();
  const enter = ledger.transaction(() => {
    const [other] = liveWorkers(core);
    if (other !== undefined) {
      throw fail(
        "BUSY",
        `Process ${other.pid} on ${other.machine} is the agent of this state folder already.`,
        "Leave the work to it, and look on with: strongroom transfers watch. Or end it first.",
        { details: { pid: other.pid, machine: other.machine } },
      );
    }
    ledger.prepare("DELETE FROM workers").run();
    const now = clock.now();
    ledger
      .prepare("INSERT INTO workers (id, kind, holder, beat, started) VALUES (?, 'agent', ?, ?, ?)")
      .run(id, JSON.stringify(thisProcess()), now, now);
  });
  enter.immediate();
  const heart = setInterval(() => {
    try {
      ledger.prepare("UPDATE workers SET beat = ? WHERE id = ?").run(clock.now(), id);
    } catch (error) {
      // A beat that cannot be written now is written by the next one.
      if (!ledger.open) clearInterval(heart);
      else if (asFailure(error).failure.code === "INTERNAL") throw error;
    }
  }, BEAT_MS);
  heart.unref();
  const leave = () => ledger.prepare("DELETE FROM workers WHERE id = ?").run(id);
  return {
    leaveIf: (isIdle) =>
      ledger
        .transaction(() => {
          if (!isIdle()) return false;
          leave();
          return true;
        })
        .immediate(),
    close() {
      clearInterval(heart);
      leaveInTime(ledger, leave);
    },
  };
}
