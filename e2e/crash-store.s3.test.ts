import { expect, test } from "vitest";
import { bucketCrashVault } from "./crash-bucket.ts";
import { CrashCases, share, type Work } from "./crash-cases.ts";
import { counted, PartCount, partTable } from "./crash-parts.ts";
import { pullScenario } from "./crash-pull.ts";
import { pushScenario } from "./crash-push.ts";
import type { Moment } from "./crash-run.ts";
import type { Scenario } from "./crash-scenario.ts";
import { CrashTally } from "./crash-tally.ts";
import type { Operation } from "./support/s3-call.ts";

const ASKED = process.env.STRONGROOM_CRASH_RUNS;
/** Kills of push, and as many of pull. */
const RUNS = ASKED === undefined ? 12 : Number(ASKED) / 2;
/** Parts of 16 MiB, the last one shorter. */
const PARTS = ASKED === undefined ? 4 : 10;
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

/** When the store has executed a request that the program waits for: the `which`th of its kind, from 0, in an undisturbed run. */
function executed({ trace }: Scenario, operation: Operation, which = 0): Moment {
  const places = trace.requests.flatMap((exchange, index) =>
    exchange.operation === operation && exchange.key.endsWith(".tar") ? [index + 1] : [],
  );
  const nth = places[which];
  if (nth === undefined)
    throw new Error(`an undisturbed run has no request ${which} of the kind ${operation}`);
  return { how: "request", nth, when: "executed" };
}

/** Two scenarios of one kind, with half of its kills, of its states and of these moments each; a state that only one of them has is that one's. */
function halves(
  counts: Map<string, PartCount>,
  scenarios: readonly Scenario[],
  moments: readonly (readonly [Operation, number])[],
): readonly Work[] {
  const all = [...new Set(scenarios.flatMap(({ states }) => states))];
  const ownerOf = (state: string) => {
    const having = scenarios.flatMap(({ states }, half) => (states.includes(state) ? [half] : []));
    return having[all.indexOf(state) % having.length];
  };
  return scenarios.map((scenario, half) => {
    const count = PartCount.of(scenario);
    counts.set(scenario.name, count);
    const mine = <T>(all: readonly T[]) => all.filter((_, index) => index % 2 === half);
    const due = mine(moments).map(([operation, which]) => executed(scenario, operation, which));
    return share(
      counted(scenario, count),
      RUNS / 2,
      scenario.states.filter((state) => ownerOf(state) === half),
      due,
    );
  });
}

/** What was begun or completed and what the journal does not know of, and a part in the middle. */
const IN_PUSH = [
  ["create-upload", 0],
  ["upload-part", 1],
  ["upload-part", 2],
  ["complete-upload", 0],
] as const;
const IN_PULL = [
  ["get", 1],
  ["get", 2],
] as const;

test("a push to a store and a pull from it can be killed at any moment: nothing moves twice but the parts in flight, and no upload stays", async () => {
  const began = performance.now();
  const counts = new Map<string, PartCount>();
  const works = [
    ...halves(counts, [await pushes("copy"), await pushes("reference")], IN_PUSH),
    ...halves(counts, [await pulls("tar", "vault"), await pulls("bag", "vault of another device")], IN_PULL),
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
