import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Fault } from "../../e2e/support/fault.ts";
import { FaultProxy } from "../../e2e/support/fault-proxy.ts";
import { freshBucket, testStore } from "../../e2e/support/test-store.ts";
import { type OpenedVault, openVault } from "../open-vault.ts";
import { forgeStored } from "../testing/forge-stored.ts";
import { failureIn, filesBelow, valueIn, Workroom } from "../testing/workroom.ts";
import { keyInEnv } from "../vault/store-room-fixtures.ts";
import { packageKeys } from "../vault/vault-keys.ts";

const ENGAGEMENT = Workroom.ENGAGEMENT;
const idOf = (i: number) => `01938c7e-7b3a-7000-8000-0000000000${10 + i}`;
const PACKAGES = 12;

let proxy: FaultProxy;
let room: Workroom;
let bucket: string;
let device: OpenedVault;

beforeAll(async () => {
  proxy = await FaultProxy.open(testStore());
});
afterAll(() => proxy.close());
beforeEach(async () => {
  room = await Workroom.open();
  bucket = await freshBucket();
  for (let i = 0; i < PACKAGES; i++)
    await forgeStored(room.path("forged"), {
      packageId: idOf(i),
      engagement: ENGAGEMENT,
      name: "forged",
      files: 200,
    });
  for (const file of filesBelow(room.path("forged")))
    await put(file, await readFile(room.path("forged", file)));
  device = await opened("device");
  const place = { bucket, endpoint: proxy.endpoint, credentials: "env" };
  valueIn(await device.vaultAddS3({ name: "lake", ...place }));
  valueIn(await device.engagementCreate({ id: ENGAGEMENT, vault: "lake" }));
  proxy.clearRules();
  proxy.forget();
});
afterEach(async () => {
  await device.close();
  await room.close();
});

async function put(Key: string, Body: Uint8Array): Promise<void> {
  await testStore().client.send(new PutObjectCommand({ Bucket: bucket, Key, Body }));
}

async function opened(name: string): Promise<OpenedVault> {
  return valueIn(await openVault({ home: room.path(name), env: keyInEnv({}) }));
}

const manifestOf = (i: number) => packageKeys(ENGAGEMENT, idOf(i), "forged").manifest;
const keyOf = (i: number) => new RegExp(manifestOf(i));

async function sync() {
  const outcome = await device.sync({});
  const [synced] = valueIn(outcome).engagements;
  return { ...synced, warnings: outcome.ok ? (outcome.warnings ?? []) : [] };
}
const known = async () => valueIn(await device.packageList({})).length;

test("asks for each new package's seal and manifest once, and for nothing else but the marker and the listing", async () => {
  expect(await sync()).toMatchObject({ stored: PACKAGES, problems: 0, failure: null });
  const asked = proxy.exchanges;
  const counts: Record<string, number> = {};
  for (const { operation } of asked) counts[operation] = (counts[operation] ?? 0) + 1;
  // The one HEAD is for the vault's marker.
  expect(counts).toEqual({ head: 1, list: 1, get: 2 * PACKAGES });
  expect(Math.max(...asked.map(({ others }) => others))).toBeGreaterThan(1);
});

/** What may happen to one answer on its way and harms nothing. */
const HEALED: readonly (readonly [string, Fault])[] = [
  ["a reset in the middle", { kind: "reset", when: "mid-response" }],
  ["a 500", { kind: "refuse", refusal: { status: 500, code: "InternalError" } }],
  [
    "a 503 that asks to slow down",
    { kind: "refuse", refusal: { status: 503, code: "SlowDown", retryAfter: 1 } },
  ],
  ["an answer that is cut off", { kind: "truncate", honest: false }],
  ["a flipped bit", { kind: "flip-download" }],
  ["the whole object for a range", { kind: "whole-for-range" }],
  ["another range", { kind: "other-range", shift: 8 }],
];

describe.each(HEALED)("%s", (_, fault) => {
  test.each(["manifest.json", "seal.json"])("while %s is fetched is healed", async (name) => {
    proxy.rule({ operation: "get", key: new RegExp(name), nth: 2, times: 1, fault });
    expect(await sync()).toMatchObject({ stored: PACKAGES, problems: 0, failure: null });
    expect(await known()).toBe(PACKAGES);
  });
});

test("a listing that fails on its way is gone on with", async () => {
  proxy.rule({
    operation: "list",
    times: 1,
    fault: { kind: "refuse", refusal: { status: 500, code: "InternalError" } },
  });
  expect(await sync()).toMatchObject({ stored: PACKAGES, problems: 0 });
});

test("one object that may not be read, and one that is damaged, do not keep the others from being learnt", async () => {
  const refusal = { status: 403, code: "AccessDenied" };
  proxy.rule({ operation: "get", key: keyOf(3), times: 100, fault: { kind: "refuse", refusal } });
  proxy.rule({ operation: "get", key: keyOf(5), times: 100, fault: { kind: "flip-download" } });
  const { warnings, ...synced } = await sync();
  expect(synced).toMatchObject({ stored: PACKAGES, problems: 2, failure: null });
  expect(warnings.map(({ code, details }) => [code, details?.package])).toEqual([
    ["PERMISSION_MISSING", idOf(3)],
    ["DIGEST_MISMATCH", idOf(5)],
  ]);
  expect(await known()).toBe(PACKAGES - 2);
  proxy.clearRules();
  expect(await sync()).toMatchObject({ added: [idOf(3), idOf(5)], problems: 0 });
});

test("a network that goes away in the middle leaves what was learnt; the next sync fetches the rest only", async () => {
  let gone: Promise<void> | null = null;
  proxy.rule({
    operation: "get",
    key: keyOf(7),
    before: () => {
      gone = proxy.goOffline();
    },
  });
  const first = await device.sync({});
  await gone;
  await proxy.goOnline();
  const learnt = await known();
  expect(learnt).toBeLessThan(PACKAGES);
  // The only engagement of this device: its failure is the sync's.
  expect(failureIn(first).code).toBe("VAULT_UNREACHABLE");
  proxy.clearRules();
  proxy.forget();
  expect(await sync()).toMatchObject({ stored: PACKAGES, problems: 0, failure: null });
  expect(await known()).toBe(PACKAGES);
  const fetched = proxy.exchanges.filter(({ key }) => key.endsWith("manifest.json"));
  expect(fetched).toHaveLength(PACKAGES - learnt);
  expect(readdirSync(room.path("device")).filter((name) => name.startsWith("."))).toEqual([]);
});
