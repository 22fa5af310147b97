import { expect } from "vitest";
import { killAt, type Moment } from "./crash-run.ts";
import type { Scenario } from "./crash-scenario.ts";
import { type CrashTally, randomFrom } from "./crash-tally.ts";

const AGAIN = 0.2;

/** What `makeWork` gives to `CrashCases.run`. */
export interface Work {
  readonly scenario: Scenario;
  /** Moments that must be tried, in this order; one for each state that must be hit. */
  readonly due: Moment[];
  /** Kills that are still to come after those, each at a moment of chance. */
  left: number;
}

/** `kills` processes of a scenario, the first of them at the very beginning of each of these states, and at `moments`. */
export function share(
  scenario: Scenario,
  kills: number,
  states = scenario.states,
  moments: readonly Moment[] = [],
): Work {
  const due = states.map((state): Moment => ({ how: "step", step: `${state}:0` }));
  return { scenario, due: [...due, ...moments], left: Math.ceil(kills) };
}

export interface CrashCasesOptions {
  readonly tally: CrashTally;
  /** Repeats the choice of moments. */
  readonly seed: number;
  /** After so many seconds no case is begun that is not due. */
  readonly budget: number;
  /** Of what kind a moment of chance is, each of these as likely; "step" where it has none of that kind. */
  readonly kinds: readonly Moment["how"][];
}

/** Kills processes until all that was asked for is done; throws what the first case that ends wrong throws, with where and when it was. */
export class CrashCases {
  readonly #options: CrashCasesOptions;
  readonly #random: () => number;

  constructor(options: CrashCasesOptions) {
    this.#options = options;
    this.#random = randomFrom(options.seed);
  }

  /** Takes the works in turn, and every scenario to its end. */
  async run(works: readonly Work[]): Promise<void> {
    const began = performance.now();
    while (works.some(({ due, left }) => due.length > 0 || left > 0)) {
      const overdue = performance.now() - began > this.#options.budget * 1000;
      if (overdue && works.every(({ due }) => due.length === 0)) break;
      for (const work of works) {
        const moment =
          work.due.shift() ?? (work.left > 0 && !overdue ? this.#anyMoment(work.scenario) : null);
        if (moment !== null) await this.#runOne(work, moment);
      }
    }
    for (const { scenario } of works) await scenario.end();
  }

  async #runOne(work: Work, moment: Moment): Promise<void> {
    try {
      work.left -= await this.#runCase(work.scenario, moment);
    } catch (error) {
      const where = `${work.scenario.name}, first killed at ${JSON.stringify(moment)}, seed ${this.#options.seed}`;
      throw new Error(`${where}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  }

  /** Kills a command at a moment, perhaps its successor too, and runs it to its end. Answers with the number of kills. */
  async #runCase(scenario: Scenario, first: Moment): Promise<number> {
    const { tally } = this.#options;
    await scenario.begin();
    let moment: Moment | null = first;
    let kills = 0;
    while (moment !== null) {
      const killed = await killAt(scenario.desk, scenario.args, moment, scenario.proxy);
      if (!killed.killed) {
        if (!scenario.isDone(killed))
          expect(killed.exitCode, `the command, not killed: ${killed.out}${killed.err}`).toBe(0);
        await scenario.afterEnd(killed);
        return kills;
      }
      kills++;
      tally.add(killed.state ?? `${scenario.work}, not in the journal`, moment.how);
      await scenario.afterKill(killed);
      moment = this.#random() < AGAIN ? this.#anyMoment(scenario) : null;
    }
    const finished = await scenario.desk.run(scenario.args);
    if (!scenario.isDone(finished))
      expect(finished.exitCode, `the same command again: ${finished.out}${finished.err}`).toBe(0);
    await scenario.afterEnd(finished);
    return kills;
  }

  /** A moment anywhere in the command; at a step, each state is as likely. */
  #anyMoment({ trace, lasting }: Scenario): Moment {
    const how = this.#pick(this.#options.kinds);
    const state = this.#pick(lasting);
    if (how === "seen" && state !== undefined) return { how, state };
    const nth = Math.floor(this.#random() * trace.requests.length) + 1;
    if (how === "request" && trace.requests.length > 0)
      return { how, nth, when: this.#random() < 0.5 ? "arrived" : "executed" };
    const steps = Map.groupBy(trace.steps, (step) => step.slice(0, step.lastIndexOf(":")));
    const step = this.#pick(this.#pick([...steps.values()]) ?? []);
    if (how !== "random" && step !== undefined) return { how: "step", step };
    return { how: "random", after: this.#random() * trace.duration };
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from[Math.floor(this.#random() * from.length)];
  }
}
