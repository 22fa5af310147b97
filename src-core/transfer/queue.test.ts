import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { failureIn, valueIn } from "../testing/workroom.ts";
import { createFolderVault } from "../vault/folder-vault.ts";
import { LARGE, PARTS, QueueRoom, SLOW } from "./queue-fixtures.ts";

let at: QueueRoom;
beforeEach(async () => {
  at = await QueueRoom.open();
});
afterEach(() => at.close());

describe("a running push", () => {
  test("is paused by another process, keeps what was sent, and goes on where it stopped", async () => {
    const id = await at.seal("week-1");
    const pushing = at.room.vault.packagePush({ package: id, limit: SLOW });
    const { id: transfer } = await at.transferOf(id, ({ partsDone }) => partsDone > 0);
    const paused = valueIn(await at.other.transferPause({ transfer: transfer.slice(0, 8) }));
    expect(paused).toMatchObject({ state: "paused", process: null, wish: null, partsTotal: PARTS });
    expect(failureIn(await pushing)).toMatchObject({ code: "TRANSFER_PAUSED", subject: transfer });
    expect(at.uploads()).toHaveLength(1);
    const kept = paused.partsDone;
    expect(kept).toBeGreaterThan(0);
    expect(kept).toBeLessThan(PARTS);

    const sent: number[] = [];
    const onProgress = ({ phase, done }: { phase: string; done: number }) => {
      if (phase === "send") sent.push(done);
    };
    const resumed = valueIn(await at.room.vault.transferResume({ transfer }, { onProgress }));
    expect(resumed).toMatchObject({ state: "stored", bytesDone: resumed.bytesTotal, partsDone: PARTS });
    expect(sent[0]).toBeGreaterThanOrEqual(kept * 16 * 1024 * 1024);
    expect(at.uploads()).toEqual([]);
    valueIn(await at.room.vault.verify({ target: id, remote: true, full: true }));
  });

  test("is cancelled by another process: nothing of it stays, and it can be pushed anew", async () => {
    const id = await at.seal("week-1");
    const pushing = at.room.vault.packagePush({ package: id, limit: SLOW });
    const { id: transfer } = await at.moving(id);
    const cancelled = await at.other.transferCancel({ transfer });
    expect(cancelled).toEqual({ ok: true, value: expect.objectContaining({ state: "cancelled" }) });
    expect(failureIn(await pushing).code).toBe("CANCELLED");
    expect(at.uploads()).toEqual([]);
    expect(await at.transfers()).toEqual([]);
    expect((await at.transfers(true)).map(({ state }) => state)).toEqual(["cancelled"]);
    expect(failureIn(await at.other.transferResume({ transfer }))).toMatchObject({
      code: "INVALID_INPUT",
      message: expect.stringContaining("cancelled already"),
    });
    expect(valueIn(await at.room.vault.packagePush({ package: id })).alreadyStored).toBe(false);
    expect((await at.transfers(true)).map(({ state }) => state)).toEqual(["stored"]);
  });

  test("that the user stops is stopped until it is resumed, and shows why", async () => {
    const id = await at.seal("week-1");
    const stop = new AbortController();
    const pushing = at.room.vault.packagePush({ package: id, limit: SLOW }, { signal: stop.signal });
    await at.moving(id);
    stop.abort();
    expect(failureIn(await pushing).code).toBe("CANCELLED");
    const [stopped] = await at.transfers();
    expect(stopped).toMatchObject({ state: "stopped", cause: { code: "CANCELLED" }, process: null });
    expect(stopped?.bytesDone).toBeGreaterThan(0);
  });

  test("says who runs it, and a second push of the same package is told so", async () => {
    const id = await at.seal("week-1");
    const pushing = at.room.vault.packagePush({ package: id, limit: SLOW });
    expect(await at.moving(id)).toMatchObject({
      state: "sending",
      direction: "push",
      packageName: "week-1",
      vault: "stick",
      process: { pid: process.pid },
    });
    expect(failureIn(await at.other.packagePush({ package: id })).code).toBe("BUSY");
    const { id: transfer } = await at.transferOf(id);
    await at.other.transferPause({ transfer });
    await pushing;
  });

  test("follows a limit that is changed under it", async () => {
    const id = await at.seal("week-1");
    valueIn(await at.other.transfersSetLimit({ bytesPerSecond: 256 * 1024 }));
    const pushing = at.room.vault.packagePush({ package: id });
    await at.moving(id);
    valueIn(await at.other.transfersSetLimit({ bytesPerSecond: null }));
    // At the old limit it would take over four minutes.
    expect(valueIn(await pushing).bytes).toBeGreaterThan(LARGE);
    expect(valueIn(await at.other.transfersList({})).bytesPerSecond).toBe(null);
  }, 30_000);
});

describe("a paused transfer", () => {
  test("stays paused until its package is pushed by name", async () => {
    const id = await at.seal("week-1", 1000);
    failureIn(await at.room.vault.packageQueue({ package: id }));
    const { id: transfer } = await at.transferOf(id);
    expect(valueIn(await at.other.transferPause({ transfer })).state).toBe("paused");
    expect(valueIn(await at.room.vault.runQueue({ untilEmpty: true }))).toEqual({
      ...{ done: 0, stopped: 0, paused: 1, left: 0 },
    });
    valueIn(await at.room.vault.packagePush({ package: id }));
    expect((await at.transferOf(id)).state).toBe("stored");
    expect(failureIn(await at.other.transferPause({ transfer })).message).toContain("stored already");
  });
});

describe("a cancelled push whose vault is away", () => {
  async function cancelWhileAway(): Promise<{ id: string; plugIn: () => void }> {
    const id = await at.seal("week-1");
    const pushing = at.room.vault.packagePush({ package: id, limit: SLOW });
    const { id: transfer } = await at.moving(id);
    valueIn(await at.other.transferPause({ transfer }));
    await pushing;
    const plugIn = at.unplug();
    const cancelled = await at.other.transferCancel({ transfer });
    expect(cancelled).toMatchObject({
      ok: true,
      value: { state: "cancelled" },
      warnings: [{ code: "VAULT_UNREACHABLE", message: expect.stringContaining("still in vault stick") }],
    });
    return { id, plugIn };
  }

  test("is remembered: 'orphans' shows what is left, whatever its age, and drops it", async () => {
    const { plugIn } = await cancelWhileAway();
    plugIn();
    expect(at.uploads()).toHaveLength(1);
    const listed = valueIn(await at.other.transfersOrphans({}));
    expect(listed).toMatchObject([{ vault: "stick", ours: true, dropped: false }]);
    expect(listed[0]?.bytes).toBeGreaterThan(0);
    expect(valueIn(await at.other.transfersOrphans({ abort: true }))).toMatchObject([{ dropped: true }]);
    expect(at.uploads()).toEqual([]);
    expect(valueIn(await at.other.transfersOrphans({}))).toEqual([]);
  });

  test("is remembered: the next agent drops it", async () => {
    const { plugIn } = await cancelWhileAway();
    plugIn();
    expect(valueIn(await at.room.vault.runQueue({ untilEmpty: true })).left).toBe(0);
    expect(at.uploads()).toEqual([]);
  });

  test("can be pushed again, with what was sent before", async () => {
    const { id, plugIn } = await cancelWhileAway();
    plugIn();
    valueIn(await at.room.vault.packagePush({ package: id }));
    expect(at.uploads()).toEqual([]);
    expect((await at.transferOf(id)).state).toBe("stored");
  });
});

test("orphans are found in a vault that no engagement has: artifacts are put there too", async () => {
  const path = at.room.path("shelf");
  mkdirSync(path);
  valueIn(await at.other.vaultAddFolder({ name: "shelf", path }));
  const key = "campaigns/lake-7/01_recon/x.bin";
  await createFolderVault(path).beginUpload(key, 10, 10);
  expect(valueIn(await at.other.transfersOrphans({}))).toMatchObject([{ vault: "shelf", key }]);
  const dropped = valueIn(await at.other.transfersOrphans({ abort: true, olderThan: 0 }));
  expect(dropped).toMatchObject([{ vault: "shelf", dropped: true }]);
  expect(valueIn(await at.other.transfersOrphans({}))).toEqual([]);
});

test("uploads of others are orphans only when they are old enough", async () => {
  const id = await at.seal("week-1");
  const elsewhere = await at.room.openOther("elsewhere");
  valueIn(await elsewhere.vaultAddFolder({ name: "stick", path: at.vaultFolder }));
  valueIn(await elsewhere.engagementCreate({ id: "acme-2026", vault: "stick" }));
  const pushing = at.room.vault.packagePush({ package: id, limit: SLOW });
  const { id: transfer } = await at.moving(id);
  expect(valueIn(await at.other.transfersOrphans({ abort: true, olderThan: 0 }))).toEqual([]);
  const seen = valueIn(await elsewhere.transfersOrphans({ abort: true }));
  expect(seen).toMatchObject([{ ours: false, dropped: false }]);
  expect(valueIn(await elsewhere.transfersOrphans({ abort: true, olderThan: 0 }))).toMatchObject([
    { dropped: true },
  ]);
  expect(at.uploads()).toEqual([]);
  await at.other.transferPause({ transfer });
  await pushing;
  await elsewhere.close();
});

describe("a pull", () => {
  async function storedElsewhere(): Promise<string> {
    const id = await at.seal("week-1", LARGE, "reference");
    valueIn(await at.room.vault.packagePush({ package: id }));
    return id;
  }
  const hidden = () => readdirSync(at.room.path("to")).filter((name) => name.startsWith("."));

  test("is paused and resumed, with what was fetched", async () => {
    const id = await storedElsewhere();
    const pulling = at.room.vault.packagePull({
      package: id,
      to: at.room.path("to"),
      as: "tar",
      limit: SLOW,
    });
    const isPull = ({ direction, partsDone }: { direction: string; partsDone: number }) =>
      direction === "pull" && partsDone > 0;
    const { id: transfer, state, to } = await at.transferOf(id, isPull);
    expect([state, to]).toEqual(["receiving", at.room.path("to")]);
    expect(valueIn(await at.other.transferPause({ transfer }))).toMatchObject({ state: "paused" });
    expect(failureIn(await pulling).code).toBe("TRANSFER_PAUSED");
    expect(hidden()).toHaveLength(1);
    expect(valueIn(await at.room.vault.transferResume({ transfer }))).toMatchObject({ state: "received" });
    expect(readdirSync(at.room.path("to")).sort()).toEqual(["week-1.seal.json", "week-1.tar"]);
    expect((await at.room.verify(at.room.path("to", "week-1.tar"))).verdict).toBe("valid");
  });

  test("is cancelled: what was fetched goes", async () => {
    const id = await storedElsewhere();
    const pulling = at.room.vault.packagePull({ package: id, to: at.room.path("to"), limit: SLOW });
    const isPull = ({ direction, bytesDone }: { direction: string; bytesDone: number }) =>
      direction === "pull" && bytesDone > 0;
    const { id: transfer } = await at.transferOf(id, isPull);
    expect(valueIn(await at.other.transferCancel({ transfer })).state).toBe("cancelled");
    expect(failureIn(await pulling).code).toBe("CANCELLED");
    expect(readdirSync(at.room.path("to"))).toEqual([]);
    valueIn(await at.room.vault.packagePull({ package: id, to: at.room.path("to") }));
    expect(readdirSync(at.room.path("to")).sort()).toEqual(["week-1", "week-1.seal.json"]);
  });

  test("into a folder that is gone is stopped and makes no folder", async () => {
    const id = await storedElsewhere();
    const pulling = at.room.vault.packagePull({
      package: id,
      to: at.room.path("to"),
      as: "tar",
      limit: SLOW,
    });
    const { id: transfer } = await at.transferOf(id, ({ direction }) => direction === "pull");
    valueIn(await at.other.transferPause({ transfer }));
    await pulling;
    rmSync(at.room.path("to"), { recursive: true });
    expect(failureIn(await at.room.vault.transferResume({ transfer })).code).toBe("PATH_NOT_FOUND");
    expect(await at.transferOf(id, ({ direction }) => direction === "pull")).toMatchObject({
      state: "stopped",
      cause: { code: "PATH_NOT_FOUND", nextStep: expect.stringContaining("transfers resume") },
    });
    expect(readdirSync(at.room.folder)).not.toContain("to");
  });
});

test("a transfer is named by its id or the beginning of it", async () => {
  expect(failureIn(await at.other.transferPause({ transfer: "abcd" })).code).toBe("TRANSFER_NOT_FOUND");
  expect(failureIn(await at.other.transferPause({ transfer: "ab" })).code).toBe("INVALID_INPUT");
  expect(failureIn(await at.other.transfersSetLimit({ bytesPerSecond: 1000 })).code).toBe("INVALID_INPUT");
});
