import { expect, test } from "vitest";
import { buildScenario } from "./crash-build.ts";
import { CrashCases, share, type Work } from "./crash-cases.ts";
import { pullScenario } from "./crash-pull.ts";
import { pushScenario } from "./crash-push.ts";
import { CrashTally } from "./crash-tally.ts";
import { folderCrashVault } from "./crash-vault.ts";

/** Kills of build and push together; pull has three tenths as many on top. */
const RUNS = Number(process.env.STRONGROOM_CRASH_RUNS ?? 40);
/** Where the number of runs is not asked for, they end after this many seconds, but not before every state was hit. */
const BUDGET = process.env.STRONGROOM_CRASH_RUNS === undefined ? 100 : Number.POSITIVE_INFINITY;
const SEED = Number(process.env.STRONGROOM_CRASH_SEED ?? Date.now() % 1_000_000);

async function makeWork(): Promise<readonly Work[]> {
  const push = async (mode: "copy" | "reference") =>
    await pushScenario({ mode, vault: await folderCrashVault() });
  const pull = async (as: "bag" | "tar", from: "vault" | "device") =>
    await pullScenario({ as, from, vault: await folderCrashVault() });
  return [
    share(await buildScenario("copy"), RUNS * 0.25),
    share(await push("copy"), RUNS * 0.25),
    share(await buildScenario("reference"), RUNS * 0.25, []),
    share(await push("reference"), RUNS * 0.25, []),
    share(await pull("bag", "vault"), RUNS * 0.1),
    share(await pull("tar", "vault"), RUNS * 0.1, []),
    share(await pull("bag", "device"), RUNS * 0.05, []),
    share(await pull("tar", "device"), RUNS * 0.05, []),
  ];
}

test("build, push and pull can be killed at any moment: the same command again ends right, and nothing sealed is lost", async () => {
  const began = performance.now();
  const works = await makeWork();
  const tally = new CrashTally(works.flatMap(({ scenario }) => scenario.states));
  const kinds = ["random", "seen", "step", "step"] as const;
  try {
    await new CrashCases({ tally, seed: SEED, budget: BUDGET, kinds }).run(works);
  } finally {
    for (const { scenario } of works) await scenario.close();
    const seconds = Math.round((performance.now() - began) / 1000);
    const budget = Number.isFinite(BUDGET) ? `, budget ${BUDGET} s` : "";
    console.log(`${tally.table()}\nseed ${SEED}, ${seconds} s${budget}`);
  }
  for (const { scenario } of works)
    for (const state of scenario.states)
      expect(tally.total(state), `never killed while ${state}`).toBeGreaterThan(0);
}, 7_200_000);
