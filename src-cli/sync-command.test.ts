import { expect, test } from "vitest";
import type { Failure } from "../src-contract/failure.ts";
import type { PackageSummary, SyncedEngagement } from "../src-contract/vault-api.ts";
import { packageFields } from "./package-text.ts";
import { fakeVault, strongroom } from "./run-fixtures.ts";

const unreachable: Failure = {
  code: "VAULT_UNREACHABLE",
  message: "s3://lake: nothing listens there.",
  nextStep: "Check the connection.",
};
const done: SyncedEngagement = {
  ...{ engagement: "acme-2026", vault: "lake", sent: 2, added: ["a", "b", "c"], stored: 1200 },
  ...{ problems: 1, failure: null },
};
const notDone: SyncedEngagement = {
  ...{ engagement: "beta\n2026", vault: "away", sent: 0, added: [], stored: null },
  ...{ problems: 0, failure: unreachable },
};

function syncing(engagements: readonly SyncedEngagement[], warnings: readonly Failure[] = []) {
  const requests: unknown[] = [];
  const vault = fakeVault({
    sync: async (request) => {
      requests.push(request);
      return { ok: true, value: { engagements }, warnings };
    },
  });
  return { requests, vault };
}

test("sync shows each engagement on a line, and warns of each package with which something is wrong", async () => {
  const problem = {
    code: "SEAL_INVALID",
    message: "seal.json is none.",
    nextStep: "Ask whoever stored it.",
  } as const;
  const { requests, vault } = syncing([done], [problem]);
  const { exitCode, out, err } = await strongroom(["sync", "acme-2026"], { vault });
  expect(requests).toEqual([{ engagement: "acme-2026" }]);
  expect(out).toBe(
    "ENGAGEMENT  VAULT  SENT  NEW  STORED  PROBLEMS  RESULT\n" +
      "acme-2026   lake      2    3   1,200         1  synced\n",
  );
  expect(err).toBe("warning: seal.json is none.\nnext: Ask whoever stored it.\n");
  expect(exitCode).toBe(0);
});

test("sync that did not do all of it says which one and why, and ends with 2", async () => {
  const { requests, vault } = syncing([done, notDone]);
  const { exitCode, out } = await strongroom(["sync"], { vault });
  expect(requests).toEqual([{ engagement: undefined }]);
  expect(out).toContain("beta\\n2026  away      0    0       ?         0  not synced\n");
  expect(out).toContain("nothing listens there.\nnext: Check the connection.\n");
  expect(exitCode).toBe(2);
  const json = await strongroom(["sync", "--json"], { vault });
  expect([json.exitCode, JSON.parse(json.out)]).toEqual([
    2,
    { ok: true, value: { engagements: [done, notDone] }, warnings: [] },
  ]);
});

test.each([
  ["remote", "lake", "not on this device; stored in vault lake"],
  ["remote", null, "not on this device; not in its vault any more"],
  ["held", null, "on this device; in no vault yet"],
] as const)("a %s package in vault %s is: %s", (holding, storedIn, words) => {
  const summary: PackageSummary = {
    ...{ id: "id", name: "a", title: null, engagement: "acme", phase: null, retentionClass: null },
    ...{ files: 1, payloadSize: 1, archiveSize: 1, sealed: "2026-05-04T03:02:01Z", packageDigest: "d" },
    ...{ holding, storedIn, lastVerified: null },
  };
  expect(packageFields(summary)).toContainEqual(["Held", words]);
});
