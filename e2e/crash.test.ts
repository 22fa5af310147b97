import { expect, test } from "vitest";
import { buildScenario } from "./crash-build.ts";
import { pullScenario } from "./crash-pull.ts";
import { pushScenario } from "./crash-push.ts";
import { killAt, type Moment } from "./crash-run.ts";
import type { Scenario } from "./crash-scenario.ts";
import { CrashTally, randomFrom } from "./crash-tally.ts";

/** Kills of build and push together; pull has three tenths as many on top. */
const RUNS = Number(process.env.STRONGROOM_CRASH_RUNS ?? 40);
/** Where the number of runs is not asked for, they end after this many seconds, but not before every state was hit. */
const BUDGET = process.env.STRONGROOM_CRASH_RUNS === undefined ? 100 : Number.POSITIVE_INFINITY;
const SEED = Number(process.env.STRONGROOM_CRASH_SEED ?? Date.now() % 1_000_000);
const AGAIN = 0.2;

const random = randomFrom(SEED);
const pick = <T>(from: readonly T[]): T | undefined => from[Math.floor(random() * from.length)];

/** A moment anywhere in the command: by the clock, by what can be seen of it, or at a step of a state, each state as likely. */
function anyMoment({ trace, lasting }: Scenario): Moment {
  const how = pick(["random", "seen", "step", "step"]);
  const state = pick(lasting);
  if (how === "seen" && state !== undefined) return { how, state };
  const steps = Map.groupBy(trace.steps, (step) => step.slice(0, step.lastIndexOf(":")));
  const step = pick(pick([...steps.values()]) ?? []);
  if (how === "step" && step !== undefined) return { how, step };
  return { how: "random", after: random() * trace.duration };
}

/** Kills a command at a moment, perhaps its successor too, and runs it to its end. Answers with the number of kills. */
async function runCase(scenario: Scenario, first: Moment, tally: CrashTally): Promise<number> {
  await scenario.begin();
  let moment: Moment | null = first;
  let kills = 0;
  while (moment !== null) {
    const killed = await killAt(scenario.desk, scenario.args, moment);
    if (!killed.killed) {
      if (!scenario.isDone(killed))
        expect(killed.exitCode, `the command, not killed: ${killed.out}${killed.err}`).toBe(0);
      await scenario.afterEnd(killed);
      return kills;
    }
    kills++;
    tally.add(killed.state ?? `${scenario.work}, not in the journal`, moment.how);
    await scenario.afterKill(killed);
    moment = random() < AGAIN ? anyMoment(scenario) : null;
  }
  const finished = await scenario.desk.run(scenario.args);
  if (!scenario.isDone(finished))
    expect(finished.exitCode, `the same command again: ${finished.out}${finished.err}`).toBe(0);
  await scenario.afterEnd(finished);
  return kills;
}

interface Work {
  readonly scenario: Scenario;
  /** One for each state that must be hit. */
  readonly due: Moment[];
  left: number;
}

async function makeWork(): Promise<readonly Work[]> {
  const share = (scenario: Scenario, part: number, states = scenario.states): Work => ({
    scenario,
    due: states.map((state) => ({ how: "step", step: `${state}:0` })),
    left: Math.ceil(RUNS * part),
  });
  return [
    share(await buildScenario("copy"), 0.25),
    share(await pushScenario("copy"), 0.25),
    share(await buildScenario("reference"), 0.25, []),
    share(await pushScenario("reference"), 0.25, []),
    share(await pullScenario("bag", "vault"), 0.1),
    share(await pullScenario("tar", "vault"), 0.1),
    share(await pullScenario("bag", "device"), 0.05),
    share(await pullScenario("tar", "device"), 0.05),
  ];
}

async function runAll(works: readonly Work[], tally: CrashTally, began: number): Promise<void> {
  while (works.some(({ due, left }) => due.length > 0 || left > 0)) {
    const overdue = performance.now() - began > BUDGET * 1000;
    if (overdue && works.every(({ due }) => due.length === 0)) return;
    for (const work of works) {
      const moment = work.due.shift() ?? (work.left > 0 && !overdue ? anyMoment(work.scenario) : null);
      if (moment === null) continue;
      try {
        work.left -= await runCase(work.scenario, moment, tally);
      } catch (error) {
        const where = `${work.scenario.name}, first killed at ${JSON.stringify(moment)}, seed ${SEED}`;
        throw new Error(`${where}: ${error instanceof Error ? error.message : String(error)}`, {
          cause: error,
        });
      }
    }
  }
}

test("build, push and pull can be killed at any moment: the same command again ends right, and nothing sealed is lost", async () => {
  const began = performance.now();
  const works = await makeWork();
  const tally = new CrashTally(works.flatMap(({ scenario }) => scenario.states));
  try {
    await runAll(works, tally, began);
    for (const { scenario } of works) await scenario.end();
  } finally {
    for (const { scenario } of works) await scenario.desk.close();
    const seconds = Math.round((performance.now() - began) / 1000);
    const budget = Number.isFinite(BUDGET) ? `, budget ${BUDGET} s` : "";
    console.log(`${tally.table()}\nseed ${SEED}, ${seconds} s${budget}`);
  }
  for (const { scenario } of works)
    for (const state of scenario.states)
      expect(tally.total(state), `never killed while ${state}`).toBeGreaterThan(0);
}, 7_200_000);
