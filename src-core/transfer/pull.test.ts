import { mkdirSync, readdirSync, readlinkSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { failureIn, filesBelow, valueIn, Workroom } from "../testing/workroom.ts";

let room: Workroom;
beforeEach(async () => {
  room = await Workroom.open();
});
afterEach(() => room.close());

test.each([
  ["held here", false],
  ["fetched from the vault", true],
] as const)(
  "of two pulls of one package to one place, %s, one does it and the other says that it is busy",
  async (_, fetched) => {
    room.write("ev/a", Buffer.alloc(3_000_000, 7));
    const { id } = await room.build("ev", fetched ? { mode: "reference" } : {});
    await room.addVault();
    valueIn(await room.vault.packagePush({ package: id }));
    const pull = (as: "bag" | "tar") => room.vault.packagePull({ package: id, to: room.path("to"), as });
    const [first, second] = await Promise.all([pull("bag"), pull("tar")]);
    const outcomes = [first, second];
    expect(outcomes.filter(({ ok }) => ok)).toHaveLength(1);
    const refused = outcomes.find(({ ok }) => !ok);
    expect(refused === undefined ? null : failureIn(refused).code).toBe("BUSY");
    expect(readdirSync(room.path("to")).filter((name) => name.startsWith("."))).toEqual([]);
  },
);

// Linux alone tells which file a descriptor is of.
test.runIf(process.platform === "linux")("all of a bag is synced before it gets its place", async () => {
  room.write("ev/a", "x");
  room.write("ev/deep/er/b", "y");
  mkdirSync(room.path("ev/empty"));
  const { id } = await room.build("ev");
  const handle = await open(room.path("ev/a"));
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  const synced = new Set<string>();
  const sync = prototype.sync;
  const spy = vi.spyOn(prototype, "sync").mockImplementation(function (this: FileHandle) {
    const path = readlinkSync(`/proc/self/fd/${this.fd}`);
    const inBag = path.split("/site-a/")[1] ?? (path.endsWith("/site-a") ? "." : null);
    if (inBag !== null) synced.add(inBag);
    return sync.call(this);
  });
  const pulled = valueIn(await room.vault.packagePull({ package: id, to: room.path("to") }));
  spy.mockRestore();
  const folders = [".", "data", "data/ev", "data/ev/deep", "data/ev/deep/er", "data/ev/empty"];
  expect([...synced].sort()).toEqual([...filesBelow(pulled.path), ...folders].sort());
  expect(filesBelow(pulled.path)).toContain(join("data", "ev", "deep", "er", "b"));
});
