import fs, { rmSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { failureIn, valueIn } from "../testing/workroom.ts";
import { TwoDevices } from "./sync-fixtures.ts";

let two: TwoDevices;
beforeEach(async () => {
  two = await TwoDevices.open();
});
afterEach(() => two.close());

/** Seals a package and queues its push; nothing runs that would send it. */
async function queued(name: string, more: Parameters<TwoDevices["room"]["build"]>[1] = {}): Promise<string> {
  const { id } = await two.room.build("ev", { name, ...more });
  expect(failureIn(await two.room.vault.packageQueue({ package: id })).code).toBe("NO_WORKER");
  return id;
}

const waiting = async () => valueIn(await two.room.vault.transfersList({})).transfers;
const transferOf = async (id: string) => {
  const found = (await waiting()).find((transfer) => transfer.package === id);
  if (found === undefined) throw new Error(`no transfer of ${id}`);
  return found.id;
};

test("what is queued is sent, and other devices learn of it", async () => {
  const ids = [await queued("one"), await queued("two"), await queued("three")];
  expect(await two.sync(two.room.vault)).toMatchObject({ sent: 3, added: [], stored: 3, problems: 0 });
  expect(await waiting()).toEqual([]);
  expect((await two.sync(two.room.vault)).sent).toBe(0);
  expect((await two.sync()).added).toEqual(ids);
});

test("what is paused is left; what cannot be sent until somebody sees to it is told of, every time", async () => {
  const [paused, changed, sound] = [
    await queued("paused"),
    await queued("changed", { mode: "reference" }),
    await queued("sound"),
  ];
  valueIn(await two.room.vault.transferPause({ transfer: await transferOf(paused) }));
  writeFileSync(two.room.path("ev/a.txt"), "ALPHA");
  for (const sent of [1, 0]) {
    const synced = await two.sync(two.room.vault);
    expect(synced).toMatchObject({ sent, stored: 1, failure: null, warnings: [{ code: "SOURCE_CHANGED" }] });
    expect(synced.warnings[0]?.details).toMatchObject({ package: changed });
  }
  expect((await waiting()).map((transfer) => transfer.package).sort()).toEqual([paused, changed].sort());
  expect((await two.sync()).added).toEqual([sound]);
});

/** Opening what ends like this meets a faulty disk, until the answered function is called. */
function faultyDisk(end: string): () => void {
  const { open } = fs.promises;
  const spy = vi.spyOn(fs.promises, "open").mockImplementation(async (path, ...more) => {
    if (String(path).endsWith(end)) throw Object.assign(new Error("a fault of the test"), { code: "EIO" });
    return open(path, ...more);
  });
  syncBuiltinESMExports();
  return () => {
    spy.mockRestore();
    syncBuiltinESMExports();
  };
}

test("the disk of one package's evidence is at fault: that is told, and all else is synced", async () => {
  two.room.write("ev/faulty.img", "bytes");
  const faulty = await queued("faulty", { mode: "reference" });
  const sound = await queued("sound");
  const mend = faultyDisk("faulty.img");
  try {
    const synced = await two.sync(two.room.vault);
    expect(synced).toMatchObject({ sent: 1, stored: 1, failure: null, warnings: [{ code: "IO_ERROR" }] });
    expect(synced.warnings[0]?.details).toMatchObject({ package: faulty });
  } finally {
    mend();
  }
  expect((await two.sync()).added).toEqual([sound]);
  expect(await waiting()).toMatchObject([{ package: faulty, state: "queued", cause: { code: "IO_ERROR" } }]);
  expect(await two.sync(two.room.vault)).toMatchObject({ sent: 1, stored: 2, problems: 0, warnings: [] });
});

test("what is cancelled while it is sent does not end the sync", async () => {
  two.room.write("ev/large.img", Buffer.alloc(4_000_000, 7));
  const cancelled = await queued("cancelled");
  valueIn(await two.room.vault.transfersSetLimit({ bytesPerSecond: 128 * 1024 }));
  const syncing = two.sync(two.room.vault);
  while ((await waiting())[0]?.process === null) await delay(20);
  valueIn(await two.room.vault.transferCancel({ transfer: await transferOf(cancelled) }));
  expect(await syncing).toMatchObject({ sent: 0, stored: 0, problems: 0, failure: null });
});

test("offline, all stays queued, and the next sync sends it", async () => {
  const id = await queued("one");
  const offline = await two.offline(() => two.room.vault.sync({}));
  expect(failureIn(offline).code).toBe("VAULT_UNREACHABLE");
  expect(await waiting()).toMatchObject([{ package: id }]);
  expect(await two.sync(two.room.vault)).toMatchObject({ sent: 1, stored: 1 });
});

test("what was removed from the vault and is queued again is stored again", async () => {
  const id = await queued("one");
  await two.sync(two.room.vault);
  rmSync(join(two.vault, "engagements"), { recursive: true });
  expect(await two.sync(two.room.vault)).toMatchObject({ stored: 0, problems: 1 });
  expect(failureIn(await two.room.vault.packageQueue({ package: id })).code).toBe("NO_WORKER");
  expect(await two.sync(two.room.vault)).toMatchObject({ sent: 1, stored: 1, problems: 0 });
  expect(valueIn(await two.room.vault.packageList({}))).toMatchObject([{ id, storedIn: "stick" }]);
});
