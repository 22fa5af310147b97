import { isDeepStrictEqual } from "node:util";
import type { Failure, FailureCode } from "../../src-contract/failure.ts";
import type { CallOptions, Progress } from "../../src-contract/progress.ts";
import type { QueueRun } from "../../src-contract/transfers.ts";
import type { ParsedRequest } from "../../src-contract/vault-api.ts";
import { databaseFailure } from "../catalog/database.ts";
import type { Core } from "../core.ts";
import { asFailure, cancelled, FailureError } from "../failing.ts";
import type { Bandwidth } from "./bandwidth.ts";
import { withBandwidth } from "./bandwidth-limit.ts";
import { thisProcess } from "./lease-holder.ts";
import {
  firstUnfinished,
  noteNextTry,
  notePaused,
  type QueueRow,
  queueRow,
  selectQueue,
  unfinishedRows,
} from "./queue-rows.ts";
import { isStopped, isWork, runnerOf } from "./queue-standing.ts";
import { canHeal, type RetryPolicy, sleep, waitAfter } from "./retry.ts";
import { runQueued } from "./run-queued.ts";
import { WorkerLeftovers } from "./worker-leftovers.ts";
import { JointProgress } from "./worker-progress.ts";
import { type Registered, registerAgent } from "./worker-registry.ts";
import { tellUntold } from "./worker-waits.ts";

/** Transfers at once: one of them usually waits for a check or a reply while the other moves bytes. */
const AT_ONCE = 2;
/** How often the queue is looked at for new work, milliseconds. */
const LOOK_MS = 500;
const WAITS = { firstMs: 500, longestMs: 60_000, random: Math.random };
/** A transfer that ran for so long, milliseconds, begins with short waits again. */
const RAN_WELL_MS = 60_000;
/** A vault's object can be replaced under a transfer, and the next run knows it; so often in a row it is a fault that somebody has to see to. */
const FRESH_STARTS = 3;
/** With these of the ledger no transfer can be run, now or later. */
const ENDS_WORK: ReadonlySet<FailureCode> = new Set(["DATABASE_DAMAGED", "HOME_UNUSABLE", "INTERNAL"]);

/**
 * Does what is queued, by priority, until it is told to stop or, with `untilEmpty`, until nothing is left that time alone can do. Told to stop, it
 * stops all requests and leaves everything for the next worker. A ledger that cannot be written is waited for: a full disk, too, unless `untilEmpty`.
 * Throws BUSY when another agent runs on this state folder, and what is wrong with the ledger for good.
 */
export async function runQueue(
  core: Core,
  { untilEmpty }: ParsedRequest<"runQueue">,
  options: CallOptions,
): Promise<QueueRun> {
  const registered = registerAgent(core);
  try {
    return await withBandwidth(core.ledger, undefined, (bandwidth) =>
      new QueueWorker(core, registered, bandwidth, untilEmpty, options).run(),
    );
  } finally {
    registered.close();
  }
}

interface Tries {
  readonly count: number;
  readonly freshStarts: number;
}

class QueueWorker {
  readonly #core: Core;
  readonly #registered: Registered;
  readonly #bandwidth: Bandwidth;
  readonly #untilEmpty: boolean;
  readonly #options: CallOptions;
  readonly #progress: JointProgress;
  /** Given when this worker is told to stop, and when a fault ends it. */
  readonly #stop = new AbortController();
  readonly #running = new Map<string, Promise<void>>();
  readonly #tries = new Map<string, Tries>();
  readonly #leftovers: WorkerLeftovers;
  #dropping: Promise<void> | null = null;
  /** What ends this worker. */
  #fault: FailureError | null = null;
  #done = 0;

  constructor(
    core: Core,
    registered: Registered,
    bandwidth: Bandwidth,
    untilEmpty: boolean,
    options: CallOptions,
  ) {
    this.#core = core;
    this.#registered = registered;
    this.#bandwidth = bandwidth;
    this.#untilEmpty = untilEmpty;
    this.#options = options;
    this.#progress = new JointProgress(options);
    this.#leftovers = new WorkerLeftovers(core);
  }

  async run(): Promise<QueueRun> {
    const { signal } = this.#options;
    const onAbort = () => this.#stop.abort();
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      while (!this.#stop.signal.aborted) {
        try {
          if (await this.#step()) return this.#summary();
        } catch (error) {
          // Another process holds the ledger for long, or the like.
          if (!this.#endsWith(this.#failureOf(error))) await sleep(LOOK_MS, this.#stop.signal);
        }
      }
    } finally {
      signal?.removeEventListener("abort", onAbort);
      await Promise.allSettled([...this.#running.values(), this.#dropping]);
    }
    if (this.#fault !== null) throw this.#fault;
    if (this.#untilEmpty) throw cancelled();
    return this.#summary();
  }

  /** Starts what can be started, and waits for something to happen; true when nothing is left to do. */
  async #step(): Promise<boolean> {
    this.#settlePauses();
    this.#dropping ??= this.#leftovers
      .drop()
      .catch((error: unknown) => {
        this.#endsWith(this.#failureOf(error));
      })
      .finally(() => {
        this.#dropping = null;
      });
    while (this.#running.size < AT_ONCE && this.#startNext());
    if (this.#untilEmpty && this.#running.size === 0) {
      await this.#dropping;
      if (this.#registered.leaveIf(() => this.#find(() => true) === null)) return true;
    }
    await Promise.race([sleep(LOOK_MS, this.#stop.signal), ...this.#running.values()]);
    return false;
  }

  /** What was asked of a process that died before it did it. */
  #settlePauses(): void {
    const now = this.#core.clock.now();
    const asked = selectQueue(this.#core.ledger, "wish = 'pause'");
    for (const row of asked.filter((one) => runnerOf(one, now) === null)) {
      try {
        notePaused(this.#core.ledger, row.id);
      } catch (error) {
        // Until the next look the wish itself keeps it from being run.
        this.#endsWith(this.#failureOf(error));
      }
    }
  }

  /** The first transfer that a worker is to run, of those that this one does not run. */
  #find(also: (row: QueueRow) => boolean): QueueRow | null {
    const now = this.#core.clock.now();
    return firstUnfinished(
      this.#core.ledger,
      (row) => !this.#running.has(row.id) && also(row) && isWork(row, now),
    );
  }

  #nextWork(): QueueRow | null {
    const now = this.#core.clock.now();
    return this.#find(({ retry_at: retryAt }) => retryAt === null || retryAt <= now);
  }

  #startNext(): boolean {
    const row = this.#nextWork();
    if (row === null) return false;
    const run = this.#runOne(row.id)
      .catch((error: unknown) => {
        this.#endsWith(this.#failureOf(error));
      })
      .finally(() => {
        this.#running.delete(row.id);
        this.#progress.forget(row.id);
      });
    this.#running.set(row.id, run);
    return true;
  }

  async #runOne(id: string): Promise<void> {
    const { signal } = this.#stop;
    const began = this.#core.clock.now();
    const onProgress = (progress: Progress) => this.#progress.report(id, progress);
    try {
      const options = { signal, onProgress, bandwidth: this.#bandwidth, retry: this.#patience() };
      await runQueued(this.#core, id, options, true);
      this.#done += 1;
      this.#tries.delete(id);
    } catch (error) {
      if (this.#core.clock.now() - began > RAN_WELL_MS) this.#tries.delete(id);
      await this.#tryAgain(id, asFailure(error).failure);
    }
  }

  /**
   * How it ended is in the journal; here it is only said when the next try is, where time or a fresh start may mend it. What the journal could not be
   * told, such as that the lease could not be taken, is waited out here.
   */
  async #tryAgain(id: string, failure: Failure): Promise<void> {
    const { count, freshStarts } = this.#tries.get(id) ?? { count: 0, freshStarts: 0 };
    const fresh = failure.code === "OBJECT_CHANGED" && freshStarts < FRESH_STARTS;
    this.#tries.set(id, { count: count + 1, freshStarts: freshStarts + (fresh ? 1 : 0) });
    const wait = Math.round(waitAfter(WAITS, count + 1, failure));
    let untold: Failure | null = null;
    try {
      if (canHeal(failure) || fresh) {
        noteNextTry(this.#core.ledger, id, this.#core.clock.now() + wait, fresh);
      }
      if (this.#isUntold(id, failure)) untold = failure;
    } catch (error) {
      untold = this.#failureOf(error);
    }
    if (untold !== null && !this.#endsWith(untold)) await this.#holdBack(id, untold, wait);
  }

  /** Whether a transfer that has just ended looks as if nothing had kept it from going on. */
  #isUntold(id: string, failure: Failure): boolean {
    const row = queueRow(this.#core.ledger, id);
    const now = this.#core.clock.now();
    if (isWork(row, now)) return (row.retry_at ?? 0) <= now;
    return failure.code !== "BUSY" && this.#isHeldHere(id);
  }

  /** Whether this process still has a lease that it could not give back. */
  #isHeldHere(id: string): boolean {
    const row = queueRow(this.#core.ledger, id);
    return isDeepStrictEqual(runnerOf(row, this.#core.clock.now()), thisProcess());
  }

  /** Keeps the transfer's place among those that run, since another one would fare no better, and tells whoever looks on why. */
  async #holdBack(id: string, failure: Failure, wait: number): Promise<void> {
    const { ledger, clock } = this.#core;
    const ms = Math.max(LOOK_MS, wait);
    do {
      const done = tellUntold(ledger, id, { failure, retryAt: clock.now() + ms });
      await sleep(ms, this.#stop.signal);
      done();
    } while (!this.#stop.signal.aborted && this.#isHeldHere(id));
  }

  /** Whether this worker ends with a failure: unless waiting may heal it. */
  #endsWith(failure: Failure): boolean {
    const ends = ENDS_WORK.has(failure.code) || (this.#untilEmpty && failure.code === "DISK_FULL");
    if (!ends) return false;
    this.#fault ??= new FailureError(failure);
    this.#stop.abort();
    return true;
  }

  #failureOf(error: unknown): Failure {
    return asFailure(databaseFailure(error, this.#core.ledger.name)).failure;
  }

  /** Waits for as long as it takes, but does not keep a place from transfers that could be run now. */
  #patience(): RetryPolicy {
    let last: Failure | null = null;
    return {
      ...WAITS,
      tries: Number.POSITIVE_INFINITY,
      onWait: (failure) => {
        last = failure;
      },
      sleep: async (ms, signal) => {
        const until = this.#core.clock.now() + ms;
        for (let left = ms; left > 0 && signal?.aborted !== true; left = until - this.#core.clock.now()) {
          const crowded = this.#running.size >= AT_ONCE && this.#nextWork() !== null;
          if (last !== null && crowded) throw new FailureError(last);
          await sleep(Math.min(left, LOOK_MS), signal);
        }
      },
    };
  }

  #summary(): QueueRun {
    const rows = unfinishedRows(this.#core.ledger);
    const paused = rows.filter((row) => row.paused).length;
    const stopped = rows.filter((row) => !row.paused && isStopped(row)).length;
    return { done: this.#done, stopped, paused, left: rows.length - paused - stopped };
  }
}
