import type { CancelSignal } from "../../src-contract/progress.ts";
import { cancelled, throwIfCancelled } from "../failing.ts";
import { sleep } from "./retry.ts";

/** A timer that fires late is made up for, by so much at most, milliseconds; time in which nobody waited is not. */
const SLACK_MS = 100;
/** A limit that changes is heeded after so long at the latest, milliseconds. */
const STEP_MS = 200;

/** Time that only goes forward, and waiting for it to pass; tests bring their own. */
export interface Pace {
  /** Milliseconds. */
  readonly now: () => number;
  readonly sleep: (ms: number, signal: CancelSignal | undefined) => Promise<void>;
}

/**
 * A limit for all bytes of the transfers that share it, sent or received: over any time, at most limit x time and the bytes of one call go through.
 * Whoever asks first goes first.
 */
export class Bandwidth {
  #rate: number | null;
  readonly #pace: Pace;
  /** When the bytes that went through so far are paid for. */
  #free = 0;
  #turn: Promise<void> = Promise.resolve();

  constructor(
    bytesPerSecond: number | null,
    pace: Pace = {
      now: () => performance.now(),
      sleep,
    },
  ) {
    this.#rate = bytesPerSecond;
    this.#pace = pace;
  }

  /** Bytes per second; null for no limit. */
  get rate(): number | null {
    return this.#rate;
  }

  /** From now on; whoever waits, waits accordingly. */
  set rate(bytesPerSecond: number | null) {
    const now = this.#pace.now();
    if (this.#rate !== null && bytesPerSecond !== null) {
      this.#free = now + (this.#free - now) * (this.#rate / bytesPerSecond);
    } else {
      this.#free = now;
    }
    this.#rate = bytesPerSecond;
  }

  /** Settles when so many bytes may go through. Throws CANCELLED at once when the signal is given. */
  async take(bytes: number, signal: CancelSignal | undefined): Promise<void> {
    if (this.#rate === null) return;
    const turn = this.#turn.then(() => this.#wait(bytes, signal));
    this.#turn = turn.catch(() => undefined);
    await untilAborted(turn, signal);
  }

  async #wait(bytes: number, signal: CancelSignal | undefined): Promise<void> {
    for (let slack = 0; this.#rate !== null; slack = SLACK_MS) {
      throwIfCancelled(signal);
      const now = this.#pace.now();
      const left = this.#free - now;
      if (left <= 0) {
        this.#free = Math.max(this.#free, now - slack) + (bytes / this.#rate) * 1000;
        return;
      }
      await this.#pace.sleep(Math.min(left, STEP_MS), signal);
    }
  }
}

function untilAborted(work: Promise<void>, signal: CancelSignal | undefined): Promise<void> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(cancelled());
    signal.addEventListener("abort", onAbort, { once: true });
    void work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
