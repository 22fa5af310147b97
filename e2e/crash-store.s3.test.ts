import { expect, test } from "vitest";
import { bucketCrashVault } from "./crash-bucket.ts";
import { CrashCases, share, type Work } from "./crash-cases.ts";
import { counted, PartCount, partTable } from "./crash-parts.ts";
import { pullScenario } from "./crash-pull.ts";
import { pushScenario } from "./crash-push.ts";
import type { Scenario } from "./crash-scenario.ts";
import { CrashTally } from "./crash-tally.ts";

const ASKED = process.env.STRONGROOM_CRASH_RUNS;
/** Kills of push, and as many of pull. */
const RUNS = ASKED === undefined ? 12 : Number(ASKED) / 2;
/** Parts of 16 MiB, the last one shorter. */
const PARTS = ASKED === undefined ? 5 : 10;
/** Where the number of runs is not asked for, they end after this many seconds, but not before every state was hit. */
const BUDGET = ASKED === undefined ? 40 : Number.POSITIVE_INFINITY;
const SEED = Number(process.env.STRONGROOM_CRASH_SEED ?? Date.now() % 1_000_000);

const diskBytes = (PARTS - 1) * 2 ** 24 + 2 ** 23;
/** Held packages in a bucket that keeps versions, where a second write of anything is seen; those sealed by reference in one that keeps none. */
async function pushes(mode: "copy" | "reference"): Promise<Scenario> {
  const vault = await bucketCrashVault({ versioning: mode === "copy" });
  return await pushScenario({ mode, vault, diskBytes });
}

async function pulls(as: "bag" | "tar", from: "vault" | "vault of another device"): Promise<Scenario> {
  const vault = await bucketCrashVault({ versioning: from !== "vault" });
  return await pullScenario({ as, from, vault, diskBytes });
}

/** Two scenarios of one kind, with half of its kills and of its states each. */
function halves(counts: Map<string, PartCount>, ...scenarios: readonly Scenario[]): readonly Work[] {
  return scenarios.map((scenario, half) => {
    const count = PartCount.of(scenario);
    counts.set(scenario.name, count);
    const states = scenario.states.filter((_, index) => index % 2 === half);
    return share(counted(scenario, count), RUNS / 2, states, [count.secondPart(scenario.trace)]);
  });
}

test("a push to a store and a pull from it can be killed at any moment: nothing moves twice but the parts in flight, and no upload stays", async () => {
  const began = performance.now();
  const counts = new Map<string, PartCount>();
  const works = [
    ...halves(counts, await pushes("copy"), await pushes("reference")),
    ...halves(counts, await pulls("tar", "vault of another device"), await pulls("bag", "vault")),
  ];
  const prepared = performance.now();
  const tally = new CrashTally(works.flatMap(({ scenario }) => scenario.states));
  const kinds = ["random", "random", "request", "step"] as const;
  try {
    await new CrashCases({ tally, seed: SEED, budget: BUDGET, kinds }).run(works);
  } finally {
    for (const { scenario } of works) await scenario.close();
    const seconds = (from: number) => Math.round((performance.now() - from) / 1000);
    const parts = partTable([...counts].map(([name, count]) => [name, count.tally]));
    console.log(
      `${tally.table()}\n\n${parts}\nseed ${SEED}, ${seconds(began)} s, of which ${seconds(began) - seconds(prepared)} s to prepare`,
    );
  }
  for (const { scenario } of works)
    for (const state of scenario.states)
      expect(tally.total(state), `never killed while ${state}`).toBeGreaterThan(0);
}, 7_200_000);
