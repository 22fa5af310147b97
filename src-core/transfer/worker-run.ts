import type { Failure } from "../../src-contract/failure.ts";
import type { CallOptions, Progress } from "../../src-contract/progress.ts";
import type { QueueRun } from "../../src-contract/transfers.ts";
import type { ParsedRequest } from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import { asFailure, cancelled, FailureError } from "../failing.ts";
import type { Bandwidth } from "./bandwidth.ts";
import { withBandwidth } from "./bandwidth-limit.ts";
import { dropLeftovers, rowsWithLeftovers } from "./queue-leftovers.ts";
import {
  firstUnfinished,
  noteNextTry,
  notePaused,
  type QueueRow,
  selectQueue,
  unfinishedRows,
} from "./queue-rows.ts";
import { isStopped, isWork, runnerOf } from "./queue-standing.ts";
import { canHeal, type RetryPolicy, sleep, waitAfter } from "./retry.ts";
import { runQueued } from "./run-queued.ts";
import { type Registered, registerAgent } from "./worker-registry.ts";

/** Transfers at once: one of them usually waits for a check or a reply while the other moves bytes. */
const AT_ONCE = 2;
/** How often the queue is looked at for new work, milliseconds. */
const LOOK_MS = 500;
const LONGEST_WAIT_MS = 60_000;
const WAITS = { firstMs: 500, longestMs: LONGEST_WAIT_MS, random: Math.random };
/** A transfer that ran for so long, milliseconds, begins with short waits again. */
const RAN_WELL_MS = 60_000;
/** A vault's object can be replaced under a transfer, and the next run knows it; so often in a row it is a fault that somebody has to see to. */
const FRESH_STARTS = 3;
/** What cannot be dropped for want of a permission or the like is tried again after this, milliseconds. */
const DROP_AGAIN_MS = 3_600_000;

/**
 * Does what is queued, by priority, until it is told to stop or, with `untilEmpty`, until nothing is left that time alone can do. Told to stop, it
 * stops all requests and leaves everything for the next worker. Throws BUSY when another agent runs on this state folder.
 */
export async function runQueue(
  core: Core,
  { untilEmpty }: ParsedRequest<"runQueue">,
  options: CallOptions,
): Promise<QueueRun> {
  const registered = registerAgent(core);
  try {
    return await withBandwidth(core.ledger, undefined, (bandwidth) =>
      new QueueWorker(core, registered, bandwidth, options).run(untilEmpty),
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
  readonly #options: CallOptions;
  readonly #running = new Map<string, Promise<void>>();
  readonly #progress = new Map<string, Progress>();
  readonly #tries = new Map<string, Tries>();
  #dropping: Promise<void> | null = null;
  #done = 0;

  constructor(core: Core, registered: Registered, bandwidth: Bandwidth, options: CallOptions) {
    this.#core = core;
    this.#registered = registered;
    this.#bandwidth = bandwidth;
    this.#options = options;
  }

  async run(untilEmpty: boolean): Promise<QueueRun> {
    const { signal } = this.#options;
    try {
      while (signal?.aborted !== true) {
        try {
          if (await this.#step(untilEmpty)) return this.#summary();
        } catch (error) {
          // Another process holds the ledger for long; all else would not be different the next time.
          if (!canHeal(asFailure(error).failure)) throw error;
          await sleep(LOOK_MS, signal);
        }
      }
    } finally {
      await Promise.allSettled([...this.#running.values(), this.#dropping]);
    }
    if (untilEmpty) throw cancelled();
    return this.#summary();
  }

  /** Starts what can be started, and waits for something to happen; true when nothing is left to do. */
  async #step(untilEmpty: boolean): Promise<boolean> {
    this.#settlePauses();
    this.#dropping ??= this.#dropAll().finally(() => {
      this.#dropping = null;
    });
    while (this.#running.size < AT_ONCE && this.#startNext());
    if (untilEmpty && this.#running.size === 0) {
      await this.#dropping;
      if (this.#registered.leaveIf(() => this.#find(() => true) === null)) return true;
    }
    await Promise.race([sleep(LOOK_MS, this.#options.signal), ...this.#running.values()]);
    return false;
  }

  /** What was asked of a process that died before it did it. */
  #settlePauses(): void {
    const now = this.#core.clock.now();
    const asked = selectQueue(this.#core.ledger, "wish = 'pause'");
    for (const row of asked) if (runnerOf(row, now) === null) notePaused(this.#core.ledger, row.id);
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
    const run = this.#runOne(row.id).finally(() => {
      this.#running.delete(row.id);
      this.#progress.delete(row.id);
    });
    this.#running.set(row.id, run);
    return true;
  }

  async #runOne(id: string): Promise<void> {
    const { signal } = this.#options;
    const began = this.#core.clock.now();
    const onProgress = (progress: Progress) => this.#report(id, progress);
    try {
      const options = { onProgress, bandwidth: this.#bandwidth, retry: this.#patience() };
      await runQueued(this.#core, id, signal === undefined ? options : { ...options, signal }, true);
      this.#done += 1;
      this.#tries.delete(id);
    } catch (error) {
      if (this.#core.clock.now() - began > RAN_WELL_MS) this.#tries.delete(id);
      this.#tryAgain(id, asFailure(error).failure);
    }
  }

  /** How it ended is in the journal; here it is only said when the next try is, where time or a fresh start may mend it. */
  #tryAgain(id: string, failure: Failure): void {
    const { count, freshStarts } = this.#tries.get(id) ?? { count: 0, freshStarts: 0 };
    const fresh = failure.code === "OBJECT_CHANGED" && freshStarts < FRESH_STARTS;
    if (!canHeal(failure) && !fresh) return;
    this.#tries.set(id, { count: count + 1, freshStarts: freshStarts + (fresh ? 1 : 0) });
    const wait = Math.round(waitAfter(WAITS, count + 1, failure));
    noteNextTry(this.#core.ledger, id, this.#core.clock.now() + wait, fresh);
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

  /** Tries each of what cancelled and failed transfers left, when it is its time. */
  async #dropAll(): Promise<void> {
    const { ledger, clock } = this.#core;
    for (const row of rowsWithLeftovers(this.#core)) {
      const now = clock.now();
      if ((row.retry_at ?? 0) > now || runnerOf(row, now) !== null) continue;
      try {
        await dropLeftovers(this.#core, row.id);
      } catch (error) {
        const again = canHeal(asFailure(error).failure) ? LONGEST_WAIT_MS : DROP_AGAIN_MS;
        noteNextTry(ledger, row.id, clock.now() + again, false);
      }
    }
  }

  /** All that runs as one. */
  #report(id: string, progress: Progress): void {
    if (progress.unit !== "bytes") return;
    this.#progress.set(id, progress);
    const parts = [...this.#progress.values()];
    const sum = (of: (one: Progress) => number) => parts.reduce((all, one) => all + of(one), 0);
    const names = parts.flatMap(({ subject }) => (subject === undefined ? [] : [subject]));
    this.#options.onProgress?.({
      phase: progress.phase,
      done: sum(({ done }) => done),
      total: sum(({ total }) => total ?? 0),
      unit: "bytes",
      subject: names.join(", "),
    });
  }

  #summary(): QueueRun {
    const rows = unfinishedRows(this.#core.ledger);
    const paused = rows.filter((row) => row.paused).length;
    const stopped = rows.filter((row) => !row.paused && isStopped(row)).length;
    return { done: this.#done, stopped, paused, left: rows.length - paused - stopped };
  }
}
