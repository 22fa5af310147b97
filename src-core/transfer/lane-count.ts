import type { Clock } from "../ports.ts";

/** Throughput that changed by less than this is noise. */
const WORTH_A_LANE = 1.05;
const A_LANE_TOO_MANY = 0.9;

/**
 * How many parts go at once. Goes on by one while that brings throughput, turns round when it costs some, and halves when the store asks
 * for less or the connection fails (additive increase, multiplicative decrease, as RFC 5681 has it for TCP).
 */
export class LaneCount {
  readonly #most: number;
  readonly #clock: Clock;
  #current: number;
  #began: number;
  #bytes = 0;
  #parts = 0;
  #rate = 0;
  #step = 1;
  #held = 0;

  constructor({ first, most }: { readonly first: number; readonly most: number }, clock: Clock) {
    this.#current = first;
    this.#most = most;
    this.#clock = clock;
    this.#began = clock.now();
  }

  get current(): number {
    return this.#held > 0 ? 0 : this.#current;
  }

  /** Runs work during which no further part is begun. */
  async holding<T>(work: () => Promise<T>): Promise<T> {
    this.#held++;
    try {
      return await work();
    } finally {
      this.#held--;
    }
  }

  /** A part of so many bytes came through. */
  moved(bytes: number): void {
    this.#bytes += bytes;
    this.#parts += 1;
    if (this.#parts < this.#current) return;
    const rate = this.#bytes / Math.max(1, this.#clock.now() - this.#began);
    const better = rate >= this.#rate * WORTH_A_LANE;
    const worse = rate < this.#rate * A_LANE_TOO_MANY;
    if (worse) this.#step = -this.#step;
    this.#set(better || worse ? this.#current + this.#step : this.#current);
    this.#rate = rate;
  }

  /** A request failed in a way that fewer at once may mend. */
  throttled(): void {
    this.#set(Math.floor(this.#current / 2));
    this.#rate = 0;
    this.#step = 1;
  }

  #set(lanes: number): void {
    this.#current = Math.min(this.#most, Math.max(1, lanes));
    this.#bytes = 0;
    this.#parts = 0;
    this.#began = this.#clock.now();
  }
}
