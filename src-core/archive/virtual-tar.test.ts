import { execFileSync } from "node:child_process";
import { renameSync, rmSync, statSync, truncateSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FailureError } from "../failing.ts";
import { valueIn, Workroom } from "../testing/workroom.ts";
import { VirtualTar } from "./virtual-tar.ts";

/** What the system answers in place of opening a file of this name, the next so many times. */
const faults = vi.hoisted(() => ({ name: "", code: "", times: 0 }));
vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  const open: typeof real.open = async (path, ...rest) => {
    if (faults.times > 0 && String(path).endsWith(faults.name)) {
      faults.times--;
      throw Object.assign(new Error(`${faults.code}: open`), { code: faults.code });
    }
    return await real.open(path, ...rest);
  };
  return { ...real, open };
});

let room: Workroom;
beforeEach(async () => {
  room = await Workroom.open();
});
afterEach(async () => {
  faults.times = 0;
  await room.close();
});

async function refer(): Promise<VirtualTar> {
  const built = await room.build("ev", { mode: "reference" });
  return new VirtualTar(built.folder, "site-a", built.archiveSize);
}

async function refusal(work: Promise<unknown>) {
  const error = await work.then(
    () => new Error("should have failed"),
    (reason: unknown) => reason,
  );
  if (error instanceof FailureError) return error.failure;
  throw error;
}

describe("a range of which a source is not as it was", () => {
  const changes: readonly (readonly [string, (file: string) => void, string])[] = [
    ["is gone", rmSync, "SOURCE_CHANGED"],
    ["is shorter", (file) => truncateSync(file, 1), "SOURCE_CHANGED"],
    ["is a link", (file) => void execFileSync("ln", ["-sf", "/etc/hostname", file]), "SOURCE_CHANGED"],
    [
      "is a pipe",
      (file) => {
        rmSync(file);
        execFileSync("mkfifo", [file]);
      },
      "SOURCE_CHANGED",
    ],
  ];
  test.each(changes)(
    "one that %s is named; ranges without it are still produced",
    async (_, change, code) => {
      room.write("ev/a", "alpha");
      const file = room.write("ev/b", "beta".repeat(1000));
      const tar = await refer();
      change(file);
      expect(await refusal(tar.read(0, Buffer.alloc(tar.size)))).toMatchObject({ code, subject: file });
      const range = Buffer.alloc(1024);
      await tar.read(0, range);
      expect(range.toString("latin1", 512, 517)).toBe("alpha");
      await tar.close();
    },
  );

  test.each([
    ["ESTALE", "IO_ERROR", "share"],
    ["EIO", "IO_ERROR", "disk or share"],
    ["EMFILE", "IO_ERROR", "too many files"],
    ["ENOTCONN", "IO_ERROR", "ENOTCONN"],
    ["EACCES", "PATH_UNREADABLE", "may not be accessed"],
  ])("one that the system cannot open (%s) is not called changed", async (code, failure, words) => {
    const file = room.write("ev/disk.img", "alpha");
    const tar = await refer();
    Object.assign(faults, { name: "disk.img", code, times: 1 });
    expect(await refusal(tar.read(0, Buffer.alloc(tar.size)))).toMatchObject({
      code: failure,
      subject: file,
      message: expect.stringContaining(words),
    });
    await tar.read(0, Buffer.alloc(tar.size));
    await tar.close();
  });

  test("one whose folder is away is not called changed, and read again once it is back", async () => {
    room.write("ev/disk.img", "alpha");
    const tar = await refer();
    renameSync(room.path("ev"), room.path("away"));
    expect(await refusal(tar.read(0, Buffer.alloc(tar.size)))).toMatchObject({
      code: "PATH_NOT_FOUND",
      message: expect.stringContaining(`${room.path("ev")} is not there`),
    });
    renameSync(room.path("away"), room.path("ev"));
    await tar.read(0, Buffer.alloc(tar.size));
    await tar.close();
  });

  test("one on a share that stumbles is waited for by a push", async () => {
    room.write("ev/disk.img", Buffer.alloc(20_000_000, 1));
    await room.addVault();
    const { id } = await room.build("ev", { mode: "reference" });
    Object.assign(faults, { name: "disk.img", code: "ESTALE", times: 1 });
    expect(valueIn(await room.vault.packagePush({ package: id })).alreadyStored).toBe(false);
    expect(faults.times).toBe(0);
  });

  test("nothing is written into the caller's memory any more once the failure is known", async () => {
    for (let i = 0; i < 60; i++) room.write(`ev/${String(i).padStart(2, "0")}`, Buffer.alloc(200_000, 1));
    const tar = await refer();
    rmSync(room.path("ev/00"));
    const target = Buffer.alloc(tar.size);
    await refusal(tar.read(0, target));
    target.fill(0);
    // Reads that were still under way are done after as many others.
    const others = Buffer.alloc(25 * 200_000);
    for (let i = 0; i < 4; i++) await tar.read(tar.size - 6_000_000, others);
    expect(target.every((byte) => byte === 0)).toBe(true);
    await tar.close();
  });
});

test("a range outside of the archive is refused, an empty one is nothing", async () => {
  room.write("ev/a", "alpha");
  const tar = await refer();
  await expect(tar.read(-1, Buffer.alloc(1))).rejects.toThrow(RangeError);
  await expect(tar.read(tar.size, Buffer.alloc(1))).rejects.toThrow(RangeError);
  await tar.read(tar.size, Buffer.alloc(0));
  await tar.close();
});

test.each([
  ["-1", "1969-12-31T23:59:59Z"],
  ["1700000000.123456789", "2023-11-14T22:13:20.123456789Z"],
  ["9999999999", "2286-11-20T17:46:39Z"],
])("a file of the time @%s keeps it in the manifest, by copy and by reference", async (time, modified) => {
  const file = room.write("ev/a", "alpha");
  execFileSync("touch", ["-d", `@${time}`, file]);
  // Not every file system keeps every time: what it kept is what must be sealed.
  const kept = statSync(file, { bigint: true }).mtimeNs / 1_000_000_000n === BigInt(Math.floor(Number(time)));
  for (const mode of ["copy", "reference"] as const) {
    const { id } = await room.build("ev", { mode });
    const [record] = valueIn(await room.vault.packageFiles({ package: id })).files;
    if (kept) expect(record?.modified).toBe(modified);
    expect(record?.modified.slice(0, 19)).toBe(statSync(file).mtime.toISOString().slice(0, 19));
    expect(valueIn(await room.vault.verify({ target: id, full: true })).verdict).toBe("valid");
  }
});
