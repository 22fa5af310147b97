import { renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type OpenedVault, openVault } from "../open-vault.ts";
import { failureIn, valueIn, Workroom } from "../testing/workroom.ts";

let room: Workroom;
let opened: OpenedVault[];
beforeEach(async () => {
  room = await Workroom.open();
  room.write("ev/a", "x");
  opened = [];
});
afterEach(async () => {
  for (const vault of opened) await vault.close();
  await room.close();
});

/** A later command on the same state folder; `without` names databases that somebody removed meanwhile. */
async function later(...without: readonly string[]): Promise<OpenedVault> {
  await room.vault.close();
  for (const name of without)
    for (const more of ["", "-wal", "-shm"]) rmSync(join(room.home, name + more), { force: true });
  const vault = valueIn(await openVault({ home: room.home }));
  opened.push(vault);
  return vault;
}

async function listed(vault: OpenedVault) {
  const outcome = await vault.packageList({});
  return {
    ids: valueIn(outcome).map(({ id }) => id),
    warnings: outcome.ok ? (outcome.warnings ?? []) : [],
  };
}

describe("packages that are not whole on this device", () => {
  test("a list of sound packages has no warnings", async () => {
    const { id } = await room.build("ev");
    const { id: reference } = await room.build("ev", { mode: "reference" });
    expect(await listed(room.vault)).toEqual({ ids: [id, reference], warnings: [] });
  });

  test("folders that cannot be listed are told of, each by its folder", async () => {
    const [cut, empty, sound] = [await room.build("ev"), await room.build("ev"), await room.build("ev")];
    truncateSync(join(cut.folder, "manifest.json"), 100);
    rmSync(join(empty.folder, "seal.json"));
    const vault = await later("catalog.db");
    const { ids, warnings } = await listed(vault);
    expect(ids).toEqual([sound.id]);
    expect(warnings).toMatchObject([
      { code: "PACKAGE_DAMAGED", subject: cut.folder, message: expect.stringContaining(cut.folder) },
      { code: "PACKAGE_DAMAGED", subject: empty.folder, message: expect.stringContaining("seal.json") },
    ]);
    for (const { nextStep } of warnings) expect(nextStep).toContain("backup");
    const shown = failureIn(await vault.packageShow({ package: cut.id }));
    expect(shown).toMatchObject({ code: "PACKAGE_DAMAGED", message: expect.stringContaining(cut.folder) });
  });

  test.each(["seal.json", "manifest.json", "site-a.tar"])("a listed package without its %s", async (name) => {
    const { id, folder } = await room.build("ev");
    rmSync(join(folder, name));
    const { ids, warnings } = await listed(room.vault);
    expect(ids).toEqual([id]);
    expect(warnings).toMatchObject([{ code: "PACKAGE_DAMAGED", message: expect.stringContaining(name) }]);
    if (name === "site-a.tar") return;
    const failure = failureIn(await room.vault.packageShow({ package: id }));
    expect(failure).toMatchObject({ code: "PACKAGE_DAMAGED", message: expect.stringContaining(name) });
  });

  test("one whose folder is a file, or refuses to be read, is one of them and ends nothing", async () => {
    const { id, folder } = await room.build("ev");
    rmSync(folder, { recursive: true });
    writeFileSync(folder, "");
    const { ids, warnings } = await listed(room.vault);
    expect(ids).toEqual([id]);
    expect(warnings).toMatchObject([{ code: "PACKAGE_DAMAGED", subject: folder }]);
  });

  test("one whose folder is gone and that is in no vault is not forgotten", async () => {
    const { id, folder } = await room.build("ev");
    const { id: other } = await room.build("ev");
    renameSync(folder, room.path("elsewhere"));
    const { ids, warnings } = await listed(await later());
    expect(ids).toEqual([other]);
    expect(warnings).toMatchObject([{ code: "PACKAGE_NOT_HELD", message: expect.stringContaining(id) }]);
  });

  test("one that is in a vault needs no copy here", async () => {
    const { id, folder } = await room.build("ev");
    await room.addVault();
    valueIn(await room.vault.packagePush({ package: id }));
    rmSync(folder, { recursive: true });
    expect((await listed(await later())).warnings).toEqual([]);
  });

  test("a damaged archive is named when it is pushed, not a source", async () => {
    const { id, folder } = await room.build("ev");
    await room.addVault();
    const archive = join(folder, "site-a.tar");
    writeFileSync(archive, "y", { flag: "r+" });
    const failure = failureIn(await room.vault.packagePush({ package: id }));
    expect(failure).toMatchObject({ code: "DIGEST_MISMATCH", subject: archive });
    expect(failure.nextStep).toContain(`verify ${id}`);
  });
});

describe("a ledger that was lost", () => {
  test("is never begun anew beside packages; a backup brings it back and leaves them as they are", async () => {
    const { id } = await room.build("ev");
    const { folder } = valueIn(await room.vault.backup({ to: room.path("backup") }));
    const { id: newer } = await room.build("ev");
    const vault = await later("ledger.db");
    for (const outcome of [
      await vault.packageList({}),
      await vault.engagementList({}),
      await vault.engagementCreate({ id: Workroom.ENGAGEMENT }),
      await vault.backup({ to: room.path("backup") }),
    ]) {
      const failure = failureIn(outcome);
      expect(failure).toMatchObject({ code: "LEDGER_MISSING", subject: join(room.home, "ledger.db") });
      expect(failure.nextStep).toContain("strongroom restore");
    }
    valueIn(await vault.restore({ from: folder }));
    expect(valueIn(await vault.engagementShow({ id: Workroom.ENGAGEMENT }))).toMatchObject({ packages: 2 });
    expect(await listed(vault)).toEqual({ ids: [id, newer], warnings: [] });
    expect(valueIn(await vault.verify({ target: id, full: true })).verdict).toBe("valid");
  });

  test("an empty file in its place is no ledger", async () => {
    await room.build("ev");
    await room.vault.close();
    rmSync(join(room.home, "ledger.db-wal"), { force: true });
    truncateSync(join(room.home, "ledger.db"), 0);
    const vault = await later();
    expect(failureIn(await vault.packageList({})).code).toBe("LEDGER_MISSING");
  });
});

test("what a damaged database needs is said of that very one", async () => {
  await room.vault.close();
  for (const [name, next] of [
    ["catalog.db", "made anew"],
    ["ledger.db", "restore"],
  ] as const) {
    writeFileSync(join(room.home, name), "no database".repeat(1000));
    const failure = failureIn(await openVault({ home: room.home }));
    expect(failure).toMatchObject({ code: "DATABASE_DAMAGED", subject: join(room.home, name) });
    expect(failure.nextStep).toContain(next);
  }
});
