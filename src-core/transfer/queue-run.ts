import type { Failure } from "../../src-contract/failure.ts";
import type { CallOptions, Progress } from "../../src-contract/progress.ts";
import { FailureError } from "../failing.ts";
import { rfc3339FromMs } from "../package/times.ts";
import type { Clock } from "../ports.ts";
import type { Bandwidth } from "./bandwidth.ts";
import type { RunNote, TransferLease } from "./journal.ts";
import { letGo } from "./queue-lease.ts";
import { COMMAND_RETRY, type RetryPolicy } from "./retry.ts";
import { stopTransfer } from "./stop-transfer.ts";

/** How a transfer of the queue is run. */
export interface RunOptions extends CallOptions {
  readonly bandwidth: Bandwidth;
  readonly retry?: RetryPolicy | undefined;
}

/** How often a run looks whether somebody asked for a pause or its end, milliseconds. */
const LOOK_MS = 500;
/** How often it tells how far it is, milliseconds: each time is a commit to disk. */
const NOTE_MS = 1000;

/** Phases in which all of the archive goes by, of whose `total` bytes `done` are through. */
const MOVES: ReadonlySet<Progress["phase"]> = new Set(["send", "receive", "copy", "verify"]);

/**
 * Runs a transfer's work under its lease, which it releases: heeds what others ask of it, tells how far it is and what it waits for, and notes how it
 * ended unless the work did. `total`: bytes of the archive.
 */
export async function underLease<T>(
  lease: TransferLease,
  clock: Clock,
  total: number,
  options: RunOptions,
  work: (options: RunOptions) => Promise<T>,
): Promise<T> {
  const { signal, onProgress, onWait, retry = COMMAND_RETRY } = options;
  const stop = new AbortController();
  const onAbort = () => stop.abort();
  if (signal?.aborted) onAbort();
  signal?.addEventListener("abort", onAbort, { once: true });
  const teller = new Teller(lease, clock, onWait);
  const look = setInterval(() => {
    if (lease.isClosed || isAsked(lease)) stop.abort();
    else teller.tell();
  }, LOOK_MS);
  look.unref();
  try {
    return await work({
      ...options,
      signal: stop.signal,
      onProgress: (progress) => {
        if (MOVES.has(progress.phase) && progress.total === total) teller.moved(progress.done);
        onProgress?.(progress);
      },
      retry: teller.telling(retry),
    });
  } catch (error) {
    throw lease.settled ? error : await stopTransfer(lease, null, error, false);
  } finally {
    clearInterval(look);
    teller.end();
    signal?.removeEventListener("abort", onAbort);
    letGo(lease);
  }
}

/** Whether somebody asked for a pause or the end of this run; what cannot be read now is read the next time. */
function isAsked(lease: TransferLease): boolean {
  try {
    return lease.wish() !== null;
  } catch (error) {
    if (error instanceof FailureError) return false;
    throw error;
  }
}

/** Tells the journal how far a run is, at most once a second and only what is new; and who looks on, what it waits for. */
class Teller {
  readonly #lease: TransferLease;
  readonly #clock: Clock;
  readonly #onWait: CallOptions["onWait"];
  #note: RunNote | null = null;
  #told: RunNote | null = null;
  #toldAt = 0;

  constructor(lease: TransferLease, clock: Clock, onWait: CallOptions["onWait"]) {
    this.#lease = lease;
    this.#clock = clock;
    this.#onWait = onWait;
  }

  /** More bytes show that what was waited for is over; fewer, that some have to be moved again. */
  moved(bytesDone: number): void {
    const before = this.#note;
    if (bytesDone === before?.bytesDone) return;
    const waiting = before !== null && bytesDone < (before.bytesDone ?? 0) ? before.waiting : null;
    this.#note = { bytesDone, waiting };
    if (waiting === null && before !== null && before.waiting !== null) this.#onWait?.(null);
  }

  /** The same policy; what it waits out is told. */
  telling(policy: RetryPolicy): RetryPolicy {
    let last: Failure | null = null;
    return {
      ...policy,
      onWait: (failure) => {
        last = failure;
        policy.onWait?.(failure);
      },
      sleep: (ms, signal) => {
        if (last !== null) this.#waits(last, Math.round(this.#clock.now() + ms));
        return policy.sleep(ms, signal);
      },
    };
  }

  tell(): void {
    const now = this.#clock.now();
    if (this.#note === null || this.#note === this.#told || now - this.#toldAt < NOTE_MS) return;
    this.#lease.note(this.#note);
    this.#told = this.#note;
    this.#toldAt = now;
  }

  #waits(failure: Failure, retryAt: number): void {
    this.#note = { bytesDone: this.#note?.bytesDone ?? null, waiting: { failure, retryAt } };
    const { code, message, nextStep } = failure;
    this.#onWait?.({ cause: { code, message, nextStep }, nextTry: rfc3339FromMs(retryAt) });
  }

  /** Whatever it waited for, it does no more. */
  end(): void {
    if (this.#note !== null && this.#note.waiting !== null) this.#onWait?.(null);
  }
}
