import { readdir, rm } from "node:fs/promises";
import { expect } from "vitest";
import { PULL_STATES } from "../src-core/transfer/journal.ts";
import { traceSteps } from "./crash-run.ts";
import {
  buildArgs,
  digestsBelow,
  equip,
  inStates,
  must,
  PACKAGE_NAME,
  type Scenario,
  Snapshot,
} from "./crash-scenario.ts";
import { Desk } from "./run-cli.ts";

const SEAL = `${PACKAGE_NAME}.seal.json`;
const SIGNATURES = `${PACKAGE_NAME}.signatures`;

/** Fetching, killed: what has its final name is whole, and the same command ends with all of it and nothing else. */
export async function pullScenario(as: "bag" | "tar", from: "vault" | "device"): Promise<Scenario> {
  const desk = await Desk.open();
  await equip(desk);
  // Sealed by reference, the package is held by its vault alone; a copy is on this device, and then not pushed.
  const id = (await must(desk, ...buildArgs(from === "vault" ? "reference" : "copy"))).out.trim();
  if (from === "vault") await must(desk, "package", "push", id);
  const snapshot = await Snapshot.of(desk, "home");
  const to = desk.path("review");
  const name = as === "bag" ? PACKAGE_NAME : `${PACKAGE_NAME}.tar`;
  const args = ["package", "pull", id, "--to", to, "--as", as];
  const trace = await traceSteps(desk, args);
  const whole = await digestsBelow(to);
  await snapshot.restore();

  return {
    work: "pull",
    name: `pull ${as} from ${from}`,
    args,
    states: from === "vault" ? inStates("pull", ...PULL_STATES.filter((state) => state !== "failed")) : [],
    lasting: from === "vault" ? inStates("pull", "receiving", "publishing") : [],
    desk,
    trace,
    begin: async () => {
      await snapshot.restore();
      await rm(to, { recursive: true, force: true });
    },
    afterKill: async () => {
      const found = await digestsBelow(to);
      const visible = [...found].filter(([path]) => !path.split("/").some((part) => part.startsWith(".")));
      for (const [path, sha256] of visible) expect(whole.get(path), `${path} is not whole`).toBe(sha256);
      const inBag = (path: string) => path === name || path.startsWith(`${name}/`);
      const there = visible.filter(([path]) => inBag(path)).length;
      expect([0, [...whole.keys()].filter(inBag).length], "half a bag has its final name").toContain(there);
    },
    // Killed after its last act, the command has done its work; it does not overwrite it.
    isDone: ({ err }) => err.includes("is already there; nothing is overwritten"),
    afterEnd: async () => {
      expect((await readdir(to)).sort()).toEqual([name, SEAL, SIGNATURES].sort());
      expect(await digestsBelow(to)).toEqual(whole);
      await must(desk, "verify", desk.path("review", name));
    },
    end: async () => undefined,
  };
}
