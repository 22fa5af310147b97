import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import type { Killed } from "./crash-run.ts";
import {
  buildArgs,
  equip,
  fromLedger,
  inStates,
  listedPackages,
  must,
  type Scenario,
  Snapshot,
  traced,
} from "./crash-scenario.ts";
import { Desk } from "./run-cli.ts";

/** Cases that share one state folder: packages sealed by earlier ones must survive the later ones. */
const CASES_PER_HOME = 8;
const PACKAGE_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Sealing, killed: nothing unfinished is ever listed, nothing that was ever listed or printed is lost. */
export async function buildScenario(mode: "copy" | "reference"): Promise<Scenario> {
  const desk = await Desk.open();
  await equip(desk);
  const snapshot = await Snapshot.of(desk, "home");
  const args = buildArgs(mode);
  const sealed = new Set<string>();
  let cases = 0;

  /** The listed packages are what is in packages/, all that was sealed before is among them, and no draft is left. */
  async function look(): Promise<void> {
    const listed = await listedPackages(desk);
    for (const id of sealed) expect(listed, "a sealed package was lost").toContain(id);
    expect([...(await readdir(join(desk.home, "packages")))].sort()).toEqual([...listed].sort());
    expect(fromLedger(desk.home, "SELECT package_id FROM builds")).toEqual([]);
    for (const id of listed) sealed.add(id);
  }

  async function audit(): Promise<void> {
    await look();
    for (const id of sealed) {
      await must(desk, "verify", id);
      expect(await readdir(join(desk.home, "packages", id, "signatures"))).toHaveLength(1);
    }
    const events = "SELECT package_id FROM custody_events WHERE type = 'package-sealed'";
    expect([...fromLedger(desk.home, events)].sort()).toEqual([...sealed].sort());
  }

  function takePrinted(out: string): void {
    const id = out.trim();
    if (PACKAGE_ID.test(id)) sealed.add(id);
  }

  return {
    work: "build",
    name: `build ${mode}`,
    args,
    states: inStates("build", "preparing", "walking", "hashing", "finishing", "signing", "publishing"),
    lasting: inStates("build", "hashing", "finishing"),
    desk,
    trace: await traced(desk, args, snapshot),
    begin: async () => {
      if (cases++ % CASES_PER_HOME !== 0 || cases === 1) return;
      await audit();
      sealed.clear();
      await snapshot.restore();
    },
    afterKill: async ({ out }: Killed) => {
      takePrinted(out);
      // Every other time the next command is the build itself.
      if (cases % 2 === 0) await look();
    },
    isDone: () => false,
    afterEnd: async ({ out }) => {
      expect(out.trim()).toMatch(PACKAGE_ID);
      takePrinted(out);
      await look();
    },
    end: audit,
    close: () => desk.close(),
  };
}
