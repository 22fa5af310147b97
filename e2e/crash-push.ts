import { expect } from "vitest";
import { PUSH_STATES } from "../src-core/transfer/journal.ts";
import { traceSteps } from "./crash-run.ts";
import {
  buildArgs,
  digestsBelow,
  ENGAGEMENT,
  equip,
  fromLedger,
  inStates,
  listedPackages,
  must,
  type Scenario,
  Snapshot,
} from "./crash-scenario.ts";
import { Desk } from "./run-cli.ts";

const isRecord = (path: string) => path.startsWith("stored/");

/** Storing, killed: the seal is never there before the rest, and the vault holds the same in the end as if nothing had happened. */
export async function pushScenario(mode: "copy" | "reference"): Promise<Scenario> {
  const desk = await Desk.open();
  await equip(desk);
  const id = (await must(desk, ...buildArgs(mode))).out.trim();
  const snapshot = await Snapshot.of(desk, "home", "vault");
  const args = ["package", "push", id];
  const stored = desk.path("vault", "engagements", ENGAGEMENT, "packages", id);
  const trace = await traceSteps(desk, args);
  await must(desk, "verify", id, "--remote", "--full");
  const whole = new Map([...(await digestsBelow(stored))].filter(([path]) => !isRecord(path)));
  expect([...whole.keys()]).toContain("seal.json");
  await snapshot.restore();

  return {
    work: "push",
    name: `push ${mode}`,
    args,
    states: inStates("push", ...PUSH_STATES.filter((state) => state !== "failed")),
    lasting: inStates("push", "sending-archive", "checking"),
    desk,
    trace,
    begin: () => snapshot.restore(),
    afterKill: async () => {
      const found = await digestsBelow(stored);
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
      const found = [...(await digestsBelow(stored))];
      expect(new Map(found.filter(([path]) => !isRecord(path)))).toEqual(whole);
      const records = found.filter(([path]) => isRecord(path));
      expect(records).not.toEqual([]);
      for (const [path] of records) expect(path).toMatch(/^stored\/[^.][^/]*\.json$/);
      await must(desk, "verify", id, "--remote", "--full");
      expect(await listedPackages(desk)).toEqual([id]);
      const events = "SELECT count(*) FROM custody_events WHERE type = 'package-stored'";
      expect(fromLedger(desk.home, events)).toEqual([1]);
      expect(fromLedger(desk.home, "SELECT vault FROM stored_packages WHERE package_id = ?", id)).toEqual([
        "office",
      ]);
    },
    end: async () => undefined,
  };
}
