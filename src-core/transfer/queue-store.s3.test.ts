import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import {
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { FaultProxy } from "../../e2e/support/fault-proxy.ts";
import { freshBucket, testStore } from "../../e2e/support/test-store.ts";
import type { TransferSummary } from "../../src-contract/transfers.ts";
import { type OpenedVault, openVault } from "../open-vault.ts";
import { failureIn, valueIn, Workroom } from "../testing/workroom.ts";
import { keyInEnv } from "../vault/store-room-fixtures.ts";

const ENGAGEMENT = "lake-2026";
/** Five parts. */
const LARGE = 70_000_000;
const PARTS = [1, 2, 3, 4, 5];

let proxy: FaultProxy;
let room: Workroom;
let bucket: string;
/** Two doors to one state folder, as two processes have them. */
let one: OpenedVault;
let other: OpenedVault;

beforeAll(async () => {
  proxy = await FaultProxy.open(testStore());
});
afterAll(() => proxy.close());
beforeEach(async () => {
  room = await Workroom.open();
  bucket = await freshBucket();
  one = await opened();
  other = await opened();
  valueIn(await one.vaultAddS3({ name: "lake", bucket, endpoint: proxy.endpoint, credentials: "env" }));
  valueIn(await one.engagementCreate({ id: ENGAGEMENT, vault: "lake" }));
  proxy.clearRules();
  proxy.forget();
});
afterEach(async () => {
  await one.close();
  await other.close();
  await room.close();
});

async function opened(env: NodeJS.ProcessEnv = keyInEnv({})): Promise<OpenedVault> {
  return valueIn(await openVault({ home: room.home, env }));
}

async function seal(name: string, bytes = LARGE): Promise<string> {
  room.write(`ev-${name}/disk.img`, Buffer.alloc(bytes, createHash("sha512").update(name).digest()));
  return (await room.build(`ev-${name}`, { name, engagement: ENGAGEMENT })).id;
}

async function transferOf(
  packageId: string,
  accept: (transfer: TransferSummary) => boolean,
): Promise<TransferSummary> {
  for (;;) {
    const { transfers } = valueIn(await other.transfersList({ all: true }));
    const found = transfers.find((transfer) => transfer.package === packageId && accept(transfer));
    if (found !== undefined) return found;
    await delay(20);
  }
}

/** Ids of the uploads that the store knows in the bucket. */
async function uploads(): Promise<readonly string[]> {
  const page = await testStore().client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
  return (page.Uploads ?? []).map(({ UploadId }) => UploadId ?? "");
}

/** Lets the first part through, and the others trickle. */
function slowDown(): void {
  for (const part of PARTS.slice(1)) {
    const fault = { kind: "slow", direction: "up", bytesPerSecond: 512 * 1024 } as const;
    proxy.rule({ operation: "upload-part", part, fault });
  }
}

test("a push is paused: requests stop, the upload stays, and its parts are not sent again", async () => {
  const id = await seal("week-1");
  slowDown();
  const pushing = one.packagePush({ package: id });
  const { id: transfer } = await transferOf(id, ({ partsDone }) => partsDone > 0);
  const paused = valueIn(await other.transferPause({ transfer }));
  expect(paused).toMatchObject({ state: "paused", process: null });
  expect(failureIn(await pushing).code).toBe("TRANSFER_PAUSED");
  // What the client cut, the proxy lets go of a moment later.
  while (!proxy.exchanges.every(({ ended }) => ended)) await delay(20);
  expect(await uploads()).toHaveLength(1);
  proxy.clearRules();
  proxy.forget();
  const resumed = valueIn(await one.transferResume({ transfer }));
  expect(resumed).toMatchObject({ state: "stored", partsDone: 5 });
  const sent = proxy.exchanges.filter(({ operation }) => operation === "upload-part");
  expect(sent).toHaveLength(PARTS.length - paused.partsDone);
  expect(await uploads()).toEqual([]);
  expect(valueIn(await one.verify({ target: id, remote: true, full: true })).verdict).toBe("valid");
});

test("a push is cancelled: the store knows no upload any more", async () => {
  const id = await seal("week-1");
  slowDown();
  const pushing = one.packagePush({ package: id });
  const { id: transfer } = await transferOf(id, ({ partsDone }) => partsDone > 0);
  expect(await other.transferCancel({ transfer })).toMatchObject({ ok: true, value: { state: "cancelled" } });
  expect(failureIn(await pushing).code).toBe("CANCELLED");
  expect(await uploads()).toEqual([]);
});

test("a push that is cancelled offline leaves an upload that the agent drops once the store is back", async () => {
  const id = await seal("week-1");
  slowDown();
  const pushing = one.packagePush({ package: id });
  const { id: transfer } = await transferOf(id, ({ partsDone }) => partsDone > 0);
  valueIn(await other.transferPause({ transfer }));
  await pushing;
  await proxy.goOffline();
  const cancelled = await other.transferCancel({ transfer });
  expect(cancelled).toMatchObject({
    ok: true,
    value: { state: "cancelled" },
    warnings: [{ code: "VAULT_UNREACHABLE" }],
  });
  await proxy.goOnline();
  expect(await uploads()).toHaveLength(1);
  expect(valueIn(await one.transfersOrphans({}))).toMatchObject([{ ours: true, dropped: false }]);
  valueIn(await one.runQueue({ untilEmpty: true }));
  expect(await uploads()).toEqual([]);
});

test("an agent waits out a network that is gone in the middle, and Retry-After; then the package is stored and right", async () => {
  const id = await seal("week-1");
  slowDown();
  expect(failureIn(await one.packageQueue({ package: id })).code).toBe("NO_WORKER");
  const refusal = { status: 503, code: "SlowDown", retryAfter: 1 };
  proxy.rule({ operation: "create-upload", fault: { kind: "refuse", refusal } });
  const stop = new AbortController();
  const run = one.runQueue({}, { signal: stop.signal });
  await transferOf(id, ({ partsDone }) => partsDone > 0);
  await proxy.goOffline();
  const waiting = await transferOf(id, ({ state }) => state === "waiting");
  expect(waiting).toMatchObject({ cause: { code: "VAULT_UNREACHABLE" }, process: { pid: process.pid } });
  expect(waiting.nextTry).not.toBeNull();
  await delay(3000);
  proxy.clearRules();
  await proxy.goOnline();
  await transferOf(id, ({ state }) => state === "stored");
  stop.abort();
  expect(valueIn(await run)).toMatchObject({ done: 1, left: 0 });
  expect(await uploads()).toEqual([]);
  expect(valueIn(await one.verify({ target: id, remote: true, full: true })).verdict).toBe("valid");
}, 120_000);

test("a push that is cancelled when its archive is whole, but not sealed yet, says what stays", async () => {
  const id = await seal("week-1");
  let proceed: () => void = () => undefined;
  const before = () =>
    new Promise<void>((resolve) => {
      proceed = resolve;
    });
  const held = proxy.rule({ operation: "put", key: /manifest\.json$/, before });
  const pushing = one.packagePush({ package: id });
  while (held.fired === 0) await delay(20);
  const { id: transfer } = await transferOf(id, () => true);
  const cancelled = await other.transferCancel({ transfer });
  proceed();
  expect(failureIn(await pushing).code).toBe("CANCELLED");
  expect(cancelled).toMatchObject({
    ok: true,
    value: { state: "cancelled" },
    warnings: [{ code: "PACKAGE_NOT_STORED", message: expect.stringContaining("without a seal") }],
  });
  expect(valueIn(await one.packagePush({ package: id })).alreadyStored).toBe(false);
});

test("without credentials a transfer is stopped with the next step; it goes on once they are there", async () => {
  const id = await seal("week-1", 1000);
  expect(failureIn(await one.packageQueue({ package: id })).code).toBe("NO_WORKER");
  const poor = await opened({ AWS_CONFIG_FILE: "/nowhere", AWS_SHARED_CREDENTIALS_FILE: "/nowhere" });
  expect(valueIn(await poor.runQueue({ untilEmpty: true }))).toMatchObject({ done: 0, stopped: 1 });
  await poor.close();
  const stopped = await transferOf(id, () => true);
  expect(stopped).toMatchObject({
    state: "stopped",
    cause: { code: expect.stringMatching(/^CREDENTIALS_/) },
  });
  expect(valueIn(await one.transferResume({ transfer: stopped.id })).state).toBe("stored");
});

test("a limit holds for what is sent, read back and fetched, at any number of lanes", async () => {
  const id = await seal("week-1", 24 * 1024 * 1024);
  const rate = 6 * 1024 * 1024;
  const seconds = async (work: () => Promise<unknown>) => {
    const began = performance.now();
    await work();
    return (performance.now() - began) / 1000;
  };
  const pushed = await seconds(async () => valueIn(await one.packagePush({ package: id, limit: rate })));
  // Never faster than the limit, but for the first pieces; how slow it may be is no matter of this test.
  expect(pushed).toBeGreaterThan(24 / 6 - 0.5);
  rmSync(room.path("home", "packages", id, "week-1.tar"));
  const pulled = await seconds(async () =>
    valueIn(await one.packagePull({ package: id, to: room.path("to"), as: "tar", limit: rate })),
  );
  expect(pulled).toBeGreaterThan(24 / 6 - 0.7);
  expect((await room.verify(room.path("to", "week-1.tar"))).verdict).toBe("valid");
});

test("uploads of others are listed with their size, and dropped only when they are old enough", async () => {
  const { client } = testStore();
  const Key = `engagements/${ENGAGEMENT}/packages/01938c7e-7b3a-7000-8000-000000000001/lost.tar`;
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key }));
  const part = { Bucket: bucket, Key, UploadId, Body: Buffer.alloc(5 * 1024 * 1024) };
  await client.send(new UploadPartCommand({ ...part, PartNumber: 1 }));
  // Of another program that shares the bucket.
  await client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: "films/holiday.mp4" }));
  const orphan = { vault: "lake", key: Key, bytes: 5 * 1024 * 1024, ours: false };
  expect(valueIn(await one.transfersOrphans({}))).toEqual([
    { ...orphan, uploadId: UploadId, begun: expect.any(String), dropped: false },
  ]);
  expect(valueIn(await one.transfersOrphans({ abort: true }))).toMatchObject([{ dropped: false }]);
  expect(valueIn(await one.transfersOrphans({ vault: "lake", abort: true, olderThan: 0 }))).toMatchObject([
    { dropped: true },
  ]);
  expect(await uploads()).toHaveLength(1);
  expect(failureIn(await one.transfersOrphans({ vault: "river" })).code).toBe("VAULT_NOT_FOUND");
});
