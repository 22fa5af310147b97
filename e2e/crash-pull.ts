import { readdir, rm } from "node:fs/promises";
import { expect } from "vitest";
import { PULL_STATES } from "../src-core/transfer/journal.ts";
import { traceSteps } from "./crash-run.ts";
import {
  buildArgs,
  digestsBelow,
  equip,
  inStates,
  isPassed,
  must,
  PACKAGE_NAME,
  type Scenario,
  Snapshot,
  sealOf,
} from "./crash-scenario.ts";
import type { CrashVault } from "./crash-vault.ts";
import { Desk } from "./run-cli.ts";

const SEAL = `${PACKAGE_NAME}.seal.json`;
const SIGNATURES = `${PACKAGE_NAME}.signatures`;

export interface PullScenarioOptions {
  readonly as: "bag" | "tar";
  /**
   * Where the package's bytes come from: its vault, of a package that was sealed by reference or that another device has sealed and holds; or
   * this device, which holds it and has not pushed it.
   */
  readonly from: "vault" | "vault of another device" | "device";
  readonly vault: CrashVault;
  readonly diskBytes?: number;
}

/** Fetching, killed: what has its final name is whole, and the same command ends with all of it and nothing else. */
export async function pullScenario(options: PullScenarioOptions): Promise<Scenario> {
  const { as, from, vault, diskBytes } = options;
  const sealer = await Desk.open();
  await equip(sealer, { engage: vault.engage, diskBytes });
  const id = (await must(sealer, ...buildArgs(from === "vault" ? "reference" : "copy"))).out.trim();
  if (from !== "device") await must(sealer, "package", "push", id);
  const desk = from === "vault of another device" ? await Desk.open() : sealer;
  if (desk !== sealer) await vault.engage(desk);
  const snapshot = await Snapshot.of(desk, "home");
  const to = desk.path("review");
  const name = as === "bag" ? PACKAGE_NAME : `${PACKAGE_NAME}.tar`;
  const args = ["package", "pull", id, "--to", to, "--as", as];
  const trace = await traceSteps(desk, args, vault.proxy);
  const whole = await digestsBelow(to);
  const passed = PULL_STATES.filter(isPassed);
  const fetched = from !== "device";
  // What is fetched from a vault is checked part by part as it lands, and as a whole by the pull that it is part of; what others sealed is checked whole behind its parts.
  const behind = as === "bag" && from === "vault of another device";
  const states = [
    ...inStates("pull", ...passed),
    ...(fetched ? inStates("fetch", ...passed.filter((state) => behind || state !== "checking")) : []),
  ];

  return {
    work: "pull",
    name: `pull ${as} from ${from}`,
    args,
    states,
    lasting: fetched ? inStates("fetch", "receiving") : inStates("pull", "receiving", "checking"),
    desk,
    proxy: vault.proxy,
    seal: await sealOf(sealer, id),
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
    close: async () => {
      await vault.close();
      for (const each of new Set([desk, sealer])) await each.close();
    },
  };
}
