import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openVault } from "../open-vault.ts";
import { failureIn, valueIn, Workroom } from "../testing/workroom.ts";

let room: Workroom;
beforeEach(async () => {
  room = await Workroom.open();
  room.write("ev/a", "x");
});
afterEach(() => room.close());

test("a damaged package is left out and told of, and the backup can be restored", async () => {
  const sound = await room.build("ev");
  const [sealless, empty] = [await room.build("ev"), await room.build("ev")];
  rmSync(join(sealless.folder, "seal.json"));
  rmSync(join(empty.folder, "site-a.tar"));
  const outcome = await room.vault.backup({ to: room.path("backup") });
  const made = valueIn(outcome);
  expect(made.packages).toEqual([sound.id]);
  expect(outcome.ok && outcome.warnings?.map(({ message }) => message)).toEqual([
    expect.stringContaining(sealless.id),
    expect.stringContaining(empty.id),
  ]);
  const other = valueIn(await openVault({ home: room.path("other") }));
  const restored = await other.restore({ from: made.folder });
  expect(valueIn(restored).packages).toEqual([sound.id]);
  // The log that came back tells of packages that did not.
  expect(restored.ok && restored.warnings?.map(({ code }) => code)).toEqual([
    "PACKAGE_NOT_HELD",
    "PACKAGE_NOT_HELD",
  ]);
  await other.close();
});

test("a folder that stands in a package's place is not taken for the package", async () => {
  const { id } = await room.build("ev");
  const { folder } = valueIn(await room.vault.backup({ to: room.path("backup") }));
  const place = room.path("other", "packages", id);
  mkdirSync(place, { recursive: true });
  const other = valueIn(await openVault({ home: room.path("other") }));
  expect(failureIn(await other.restore({ from: folder }))).toMatchObject({
    code: "PATH_EXISTS",
    subject: place,
  });
  rmSync(place, { recursive: true });
  valueIn(await other.restore({ from: folder }));
  expect(valueIn(await other.verify({ target: id, full: true })).verdict).toBe("valid");
  await other.close();
});

test("results never go into the state folder", async () => {
  const { id } = await room.build("ev");
  for (const to of [room.home, join(room.home, "packages"), join(room.home, "new", "er")]) {
    for (const outcome of [
      await room.vault.backup({ to }),
      await room.vault.packagePull({ package: id, to }),
      await room.vault.packageHandover({ package: id, to }),
      await room.vault.vaultAddFolder({ name: "inside", path: to }),
    ]) {
      expect(failureIn(outcome)).toMatchObject({ code: "INVALID_INPUT", subject: to });
    }
  }
  expect(room.packages()).toEqual([id]);
});

test("what killed processes left in the target goes with the next run", async () => {
  const { id } = await room.build("ev");
  const gone = { pid: 1, machine: "", boot: null, space: null, started: null };
  for (const kind of ["backup", "handover", "pull-file"]) {
    room.write(`to/.strongroom-${kind}-left/holder.json`, JSON.stringify({ ...gone, machine: "another" }));
    const old = new Date(Date.now() - 3_600_000);
    utimesSync(room.path("to", `.strongroom-${kind}-left`, "holder.json"), old, old);
    room.write(`to/.strongroom-${kind}-live/holder.json`, JSON.stringify({ ...gone, machine: "another" }));
  }
  writeFileSync(room.path("to", "mine"), "kept");
  valueIn(await room.vault.backup({ to: room.path("to") }));
  valueIn(await room.vault.packageHandover({ package: id, to: room.path("to") }));
  valueIn(await room.vault.packagePull({ package: id, to: room.path("to"), file: "data/ev/a" }));
  expect(readdirSync(room.path("to")).filter((name) => name.startsWith("."))).toEqual([
    ".strongroom-backup-live",
    ".strongroom-handover-live",
    ".strongroom-pull-file-live",
  ]);
  expect(readdirSync(room.path("to"))).toEqual(expect.arrayContaining(["a", "mine", "site-a-handover"]));
});

test.runIf(process.getuid?.() === 0)(
  "a restore that finds the disk full leaves no half package",
  async () => {
    room.write("ev/b", randomBytes(4_000_000));
    await room.build("ev");
    const { folder } = valueIn(await room.vault.backup({ to: room.path("backup") }));
    mkdirSync(room.path("disk"));
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=3m", "tmpfs", room.path("disk")]);
    try {
      const other = valueIn(await openVault({ home: room.path("disk", "home") }));
      expect(failureIn(await other.restore({ from: folder })).code).toBe("DISK_FULL");
      expect(readdirSync(room.path("disk", "home", "packages"))).toEqual([]);
      await other.close();
    } finally {
      execFileSync("umount", [room.path("disk")]);
    }
  },
);
