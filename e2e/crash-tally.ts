import type { Moment } from "./crash-run.ts";

const HOW: readonly (readonly [Moment["how"], string])[] = [
  ["step", "at a step"],
  ["seen", "when seen"],
  ["request", "at a request"],
  ["random", "at random"],
];

type Counts = Record<Moment["how"], number>;

const none = (): Counts => ({ step: 0, seen: 0, request: 0, random: 0 });
const all = (counts: Counts) => HOW.reduce((sum, [how]) => sum + counts[how], 0);

/** How many processes were killed in each state of the journal, and how they were caught in it. */
export class CrashTally {
  readonly #counts = new Map<string, Counts>();

  /** States that must be hit stand in the table from the beginning, with zeros. */
  constructor(states: Iterable<string>) {
    for (const state of states) this.#counts.set(state, none());
  }

  add(state: string, how: Moment["how"]): void {
    const counts = this.#counts.get(state) ?? none();
    counts[how]++;
    this.#counts.set(state, counts);
  }

  total(state?: string): number {
    let sum = 0;
    for (const [name, counts] of this.#counts) if (state === undefined || name === state) sum += all(counts);
    return sum;
  }

  /** Ways in which no process was killed have no column. */
  table(): string {
    const total = none();
    for (const counts of this.#counts.values()) for (const [how] of HOW) total[how] += counts[how];
    const columns = HOW.filter(([how]) => total[how] > 0);
    const line = (name: string, ...cells: readonly (number | string)[]) =>
      `${name.padEnd(30)}${cells.map((cell) => String(cell).padStart(13)).join("")}`;
    const row = (name: string, counts: Counts) =>
      line(name, ...columns.map(([how]) => counts[how]), all(counts));
    return [
      line("killed while", ...columns.map(([, heading]) => heading), "all"),
      ...[...this.#counts].map(([name, counts]) => row(name, counts)),
      row("total", total),
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
