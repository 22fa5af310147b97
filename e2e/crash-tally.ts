import type { Moment } from "./crash-run.ts";

type Counts = Record<Moment["how"], number>;

/** How many processes were killed in each state of the journal, and how they were caught in it. */
export class CrashTally {
  readonly #counts = new Map<string, Counts>();

  /** States that must be hit stand in the table from the beginning, with zeros. */
  constructor(states: Iterable<string>) {
    for (const state of states) this.#counts.set(state, { step: 0, seen: 0, random: 0 });
  }

  add(state: string, how: Moment["how"]): void {
    const counts = this.#counts.get(state) ?? { step: 0, seen: 0, random: 0 };
    counts[how]++;
    this.#counts.set(state, counts);
  }

  total(state?: string): number {
    let sum = 0;
    for (const [name, { step, seen, random }] of this.#counts)
      if (state === undefined || name === state) sum += step + seen + random;
    return sum;
  }

  table(): string {
    const line = (name: string, ...numbers: readonly (number | string)[]) =>
      `${name.padEnd(30)}${numbers.map((number) => String(number).padStart(10)).join("")}`;
    const sum = (how: Moment["how"]) =>
      [...this.#counts.values()].reduce((total, counts) => total + counts[how], 0);
    const rows = [...this.#counts].map(([name, { step, seen, random }]) =>
      line(name, step, seen, random, step + seen + random),
    );
    return [
      line("killed while", "at a step", "when seen", "at random", "all"),
      ...rows,
      line("total", sum("step"), sum("seen"), sum("random"), this.total()),
    ].join("\n");
  }
}

/** A small generator of numbers from 0 up to 1, so that a run can be repeated by its seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
