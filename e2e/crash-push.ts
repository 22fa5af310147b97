import { createHash } from "node:crypto";
import { expect } from "vitest";
import type { Seal } from "../src-contract/seal.ts";
import { PUSH_STATES } from "../src-core/transfer/journal.ts";
import { traceSteps } from "./crash-run.ts";
import {
  buildArgs,
  equip,
  fromLedger,
  inStates,
  isPassed,
  listedPackages,
  must,
  type Scenario,
  Snapshot,
  sealOf,
} from "./crash-scenario.ts";
import type { CrashVault } from "./crash-vault.ts";
import { Desk } from "./run-cli.ts";

const isRecord = (path: string) => path.startsWith("stored/");

export interface PushScenarioOptions {
  readonly mode: "copy" | "reference";
  readonly vault: CrashVault;
  readonly diskBytes?: number;
}

/** Storing, killed: the seal is never there before the rest, and the vault holds the same in the end as if nothing had happened. */
export async function pushScenario({ mode, vault, diskBytes }: PushScenarioOptions): Promise<Scenario> {
  const desk = await Desk.open();
  await equip(desk, { engage: vault.engage, diskBytes });
  const id = (await must(desk, ...buildArgs(mode))).out.trim();
  const snapshot = await Snapshot.of(desk, "home");
  await vault.keep();
  const args = ["package", "push", id];
  const trace = await traceSteps(desk, args, vault.proxy);
  await vault.assertStored(desk, id);
  const seal = await sealOf(desk, id);
  await assertSealed(vault, seal);
  const whole = new Map([...(await vault.stored(id))].filter(([path]) => !isRecord(path)));
  expect([...whole.keys()]).toContain("seal.json");

  return {
    work: "push",
    name: `push ${mode}`,
    args,
    states: inStates("push", ...PUSH_STATES.filter(isPassed)),
    lasting: inStates("push", "sending-archive", "checking"),
    desk,
    proxy: vault.proxy,
    seal,
    trace,
    begin: async () => {
      await snapshot.restore();
      await vault.restore();
    },
    afterKill: async () => {
      const found = await vault.stored(id);
      for (const [path, sha256] of found) {
        const name = path.split("/").at(-1) ?? "";
        if (name.startsWith(".") || isRecord(path)) continue;
        expect(whole.get(path), `${path} is in the vault before it is right`).toBe(sha256);
      }
      if (!found.has("seal.json")) return;
      expect([...found.keys()], "seal.json came first").toEqual(expect.arrayContaining([...whole.keys()]));
      expect([...found.keys()].filter(isRecord)).not.toEqual([]);
    },
    isDone: () => false,
    afterEnd: async () => {
      const found = [...(await vault.stored(id))];
      expect(new Map(found.filter(([path]) => !isRecord(path)))).toEqual(whole);
      const records = found.filter(([path]) => isRecord(path));
      expect(records).not.toEqual([]);
      for (const [path] of records) expect(path).toMatch(/^stored\/[^.][^/]*\.json$/);
      await vault.assertStored(desk, id);
      expect(await listedPackages(desk)).toEqual([id]);
      const events = "SELECT count(*) FROM custody_events WHERE type = 'package-stored'";
      expect(fromLedger(desk.home, events)).toEqual([1]);
      expect(fromLedger(desk.home, "SELECT vault FROM stored_packages WHERE package_id = ?", id)).toEqual([
        "office",
      ]);
    },
    end: async () => undefined,
    close: async () => {
      await vault.close();
      await desk.close();
    },
  };
}

/** The archive in the vault, read past the program, is part for part the one that was sealed. */
async function assertSealed(vault: CrashVault, { packageId, partSize, ...seal }: Seal): Promise<void> {
  const archive = await vault.read(packageId, seal.archive);
  expect(archive.length).toBe(seal.archiveSize);
  for (const [index, sealed] of seal.parts.entries()) {
    const part = archive.subarray(index * partSize, (index + 1) * partSize);
    expect(createHash("sha256").update(part).digest("hex"), `part ${index + 1}`).toBe(sealed);
  }
}
