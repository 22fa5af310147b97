import { chmodSync, closeSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { failureIn, valueIn } from "../testing/workroom.ts";
import { LARGE, QueueRoom, SLOW } from "./queue-fixtures.ts";

const SMALL = 5000;

let at: QueueRoom;
beforeEach(async () => {
  at = await QueueRoom.open();
});
afterEach(() => at.close());

/** Queues a push where no worker is. */
async function queue(id: string, priority = 0): Promise<void> {
  expect(failureIn(await at.other.packageQueue({ package: id, priority })).code).toBe("NO_WORKER");
}

test("what is queued without a worker says so, stays queued, and is done by the next one", async () => {
  const id = await at.seal("week-1", SMALL);
  const refused = failureIn(await at.other.packageQueue({ package: id }));
  expect(refused).toMatchObject({ code: "NO_WORKER", nextStep: expect.stringContaining("strongroom agent") });
  const [queued] = await at.transfers();
  expect(queued).toMatchObject({ state: "queued", partsTotal: 1, cause: null, process: null });
  expect(refused.details).toEqual({ transfer: queued?.id });
  const agent = at.agent();
  expect(await at.transferOf(id, ({ state }) => state === "stored")).toMatchObject({ partsDone: 1 });
  expect(await agent.stop()).toEqual({ done: 1, stopped: 0, paused: 0, left: 0 });
});

test("what is queued while an agent runs is done, and the agent is known as long as it lives", async () => {
  const agent = at.agent();
  while (valueIn(await at.other.transfersList({})).workers.length === 0) await delay(20);
  expect(valueIn(await at.other.transfersList({})).workers).toMatchObject([
    { kind: "agent", pid: process.pid },
  ]);
  expect(failureIn(await at.other.runQueue({ untilEmpty: true }))).toMatchObject({
    code: "BUSY",
    message: expect.stringContaining(`Process ${process.pid} `),
  });
  const id = await at.seal("week-1", SMALL);
  expect(valueIn(await at.other.packageQueue({ package: id }))).toMatchObject({ packageName: "week-1" });
  await at.transferOf(id, ({ state }) => state === "stored");
  expect((await agent.stop()).done).toBe(1);
  expect(valueIn(await at.other.transfersList({})).workers).toEqual([]);
  await queue(await at.seal("week-2", SMALL));
});

test("higher priority goes first, then the older one; two at a time", async () => {
  const ids = [];
  for (const [name, priority] of [
    ["a", 0],
    ["b", 5],
    ["c", 0],
    ["d", -5],
    ["e", 5],
  ] as const) {
    const id = await at.seal(name, SMALL);
    await queue(id, priority);
    ids.push(id);
  }
  const names = async () => (await at.transfers()).map(({ packageName }) => packageName);
  expect(await names()).toEqual(["b", "e", "a", "c", "d"]);
  const { id: last } = await at.transferOf(ids[3] ?? "");
  valueIn(await at.other.transferPause({ transfer: last }));
  const agent = at.agent();
  await at.transferOf(ids[2] ?? "", ({ state }) => state === "stored");
  await agent.stop();
  const done = (await at.transfers(true)).filter(({ state }) => state === "stored");
  expect(done.map(({ packageName }) => packageName).sort()).toEqual(["a", "b", "c", "e"]);
  const ends = new Map(done.map(({ packageName, updated }) => [packageName, updated]));
  const [b, e, c] = ["b", "e", "c"].map((name) => ends.get(name) ?? "");
  expect([b, e].every((end = "") => end <= (c ?? ""))).toBe(true);
});

test("told to stop, it keeps what was sent, and the transfer waits for the next worker", async () => {
  const id = await at.seal("week-1");
  await queue(id);
  valueIn(await at.other.transfersSetLimit({ bytesPerSecond: SLOW }));
  const agent = at.agent();
  await at.transferOf(id, ({ partsDone }) => partsDone > 0);
  expect(await agent.stop()).toEqual({ done: 0, stopped: 0, paused: 0, left: 1 });
  const [left] = await at.transfers();
  expect(left).toMatchObject({ state: "queued", cause: null, process: null });
  expect(left?.partsDone).toBeGreaterThan(0);
  expect(at.uploads()).toHaveLength(1);
  valueIn(await at.other.transfersSetLimit({ bytesPerSecond: null }));
  expect(valueIn(await at.room.vault.runQueue({ untilEmpty: true }))).toMatchObject({ done: 1, left: 0 });
  expect(at.uploads()).toEqual([]);
});

test("a vault that is away is waited for; the cause and the next try are shown", async () => {
  const id = await at.seal("week-1");
  await queue(id);
  const plugIn = at.unplug();
  const agent = at.agent();
  const waiting = await at.transferOf(id, ({ state }) => state === "waiting");
  expect(waiting.cause).toMatchObject({ code: "VAULT_UNREACHABLE" });
  expect(Date.parse(waiting.nextTry ?? "")).not.toBeNaN();
  plugIn();
  expect(await at.transferOf(id, ({ state }) => state === "stored")).toMatchObject({
    cause: null,
    nextTry: null,
  });
  expect((await agent.stop()).done).toBe(1);
}, 120_000);

test("a vault that goes away in the middle is waited for, too", async () => {
  const id = await at.seal("week-1");
  await queue(id);
  valueIn(await at.other.transfersSetLimit({ bytesPerSecond: SLOW }));
  const agent = at.agent();
  await at.transferOf(id, ({ partsDone }) => partsDone > 0);
  const plugIn = at.unplug();
  const waiting = await at.transferOf(id, ({ state }) => state === "waiting");
  expect(waiting.cause?.code).toBe("VAULT_UNREACHABLE");
  plugIn();
  valueIn(await at.other.transfersSetLimit({ bytesPerSecond: null }));
  await at.transferOf(id, ({ state }) => state === "stored");
  await agent.stop();
  valueIn(await at.room.vault.verify({ target: id, remote: true, full: true }));
}, 120_000);

test("transfers that wait do not keep others from running", async () => {
  const away = [await at.seal("a", SMALL), await at.seal("b", SMALL), await at.seal("c", SMALL)];
  for (const id of away) await queue(id, 10);
  await at.secondEngagement("other-2026");
  at.room.write("ev-d/x", "x");
  const built = valueIn(
    await at.room.vault.packageBuild({
      engagement: "other-2026",
      sources: [at.room.path("ev-d")],
      name: "d",
    }),
  );
  await queue(built.package?.id ?? "");
  const plugIn = at.unplug();
  const agent = at.agent();
  await at.transferOf(built.package?.id ?? "", ({ state }) => state === "stored");
  expect((await at.transfers()).map(({ cause }) => cause?.code)).toContain("VAULT_UNREACHABLE");
  plugIn();
  for (const id of away) await at.transferOf(id, ({ state }) => state === "stored");
  expect((await agent.stop()).done).toBe(4);
}, 120_000);

test("what time does not heal is stopped with its cause until it is resumed; the others are done", async () => {
  const [damaged, gone, sound] = [
    await at.seal("damaged"),
    await at.seal("gone", LARGE, "reference"),
    await at.seal("sound", SMALL),
  ];
  for (const id of [damaged, gone, sound]) await queue(id);
  const archive = join(at.room.home, "packages", damaged, "damaged.tar");
  chmodSync(archive, 0o644);
  const file = openSync(archive, "r+");
  writeSync(file, "?", 40_000_000);
  closeSync(file);
  const unplugged = at.unplug(at.room.path("ev-gone"));
  const run = valueIn(await at.room.vault.runQueue({ untilEmpty: true }));
  expect(run).toEqual({ done: 1, stopped: 2, paused: 0, left: 0 });
  expect((await at.transferOf(sound)).state).toBe("stored");
  expect(await at.transferOf(damaged)).toMatchObject({ state: "failed", cause: { code: "DIGEST_MISMATCH" } });
  const without = await at.transferOf(gone);
  expect(without).toMatchObject({
    state: "stopped",
    cause: { code: "PATH_NOT_FOUND", message: expect.stringContaining(at.room.path("ev-gone")) },
  });
  // What was sent of the one whose disk is away is kept.
  expect(at.uploads()).toEqual([expect.stringContaining(".gone.tar.")]);
  // An agent leaves them alone.
  expect(valueIn(await at.room.vault.runQueue({ untilEmpty: true }))).toMatchObject({ done: 0, stopped: 2 });

  unplugged();
  expect(valueIn(await at.room.vault.transferResume({ transfer: without.id }))).toMatchObject({
    state: "stored",
    cause: null,
  });
});

test("a transfer whose package is gone is stopped, and does not end the agent", async () => {
  const id = await at.seal("week-1", SMALL);
  await queue(id);
  rmSync(join(at.room.home, "packages", id), { recursive: true });
  expect(valueIn(await at.room.vault.runQueue({ untilEmpty: true }))).toMatchObject({ done: 0, stopped: 1 });
  expect(await at.transferOf(id)).toMatchObject({ state: "stopped", cause: { code: "PACKAGE_NOT_HELD" } });
});

test("an agent that is to go on until the queue is empty says when it was stopped before", async () => {
  const id = await at.seal("week-1", SMALL);
  await queue(id);
  at.unplug();
  const stop = new AbortController();
  const run = at.room.vault.runQueue({ untilEmpty: true }, { signal: stop.signal });
  await at.transferOf(id, ({ state }) => state === "waiting");
  stop.abort();
  expect(failureIn(await run).code).toBe("CANCELLED");
  expect((await at.transferOf(id)).state).toBe("queued");
});

test("pausing and cancelling what an agent runs and what it has not begun", async () => {
  const [running, later] = [await at.seal("running"), await at.seal("later")];
  await queue(running, 1);
  await queue(later);
  valueIn(await at.other.transfersSetLimit({ bytesPerSecond: SLOW }));
  const agent = at.agent();
  const { id } = await at.transferOf(running, ({ bytesDone }) => bytesDone > 0);
  expect(valueIn(await at.other.transferPause({ transfer: id }))).toMatchObject({ state: "paused" });
  const { id: other } = await at.transferOf(later);
  expect(valueIn(await at.other.transferCancel({ transfer: other })).state).toBe("cancelled");
  expect(at.uploads()).toHaveLength(1);
  valueIn(await at.other.transfersSetLimit({ bytesPerSecond: null }));
  const resumed = valueIn(await at.other.transferResume({ transfer: id, priority: 3 }));
  expect(resumed.priority).toBe(3);
  await at.transferOf(running, ({ state }) => state === "stored");
  expect(await agent.stop()).toMatchObject({ done: 1, left: 0, paused: 0 });
});
