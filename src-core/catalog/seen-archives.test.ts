import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openDatabase } from "./database.ts";
import { ledgerMigrations } from "./ledger-migrations/index.ts";
import { rememberArchive, rememberedArchive, type SeenArchive } from "./seen-archives.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "strongroom-db-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const open = (migrations = ledgerMigrations) => openDatabase(join(folder, "ledger.db"), migrations, true);
const place = { packageId: "p", vault: "office", packageDigest: "d" };
const seen: SeenArchive = {
  ...{ size: 5, version: "etag", versionId: "v1", how: "stored", by: "laptop" },
  time: "2026-03-14T09:26:53Z",
};

test("0070 seen archives: a ledger of the version before keeps what it has, and remembers from then on", () => {
  const old = open(ledgerMigrations.filter(({ number }) => number < 70));
  old.exec(`INSERT INTO vaults (name, kind, location, marker, added) VALUES ('office', 'folder', '/x', 'm', '2026-01-01T00:00:00Z');
    INSERT INTO stored_packages (package_id, vault, package_digest, time, method) VALUES ('p', 'office', 'd', '2026-01-01T00:00:00Z', 'read back')`);
  old.close();
  const db = open();
  expect(db.prepare("SELECT package_id, method FROM stored_packages").all()).toEqual([
    { package_id: "p", method: "read back" },
  ]);
  expect(rememberedArchive(db, place)).toBeNull();
  rememberArchive(db, place, seen);
  expect(rememberedArchive(db, place)).toEqual(seen);
  db.close();
});

test("the last that was seen counts, and only of the very seal", () => {
  const db = open();
  db.exec(
    "INSERT INTO vaults (name, kind, location, marker, added) VALUES ('office', 'folder', '/x', 'm', '2026-01-01T00:00:00Z')",
  );
  rememberArchive(db, place, seen);
  const { versionId: _, ...later } = { ...seen, version: "another", how: "read" as const };
  rememberArchive(db, place, later);
  expect(rememberedArchive(db, place)).toEqual(later);
  expect(rememberedArchive(db, { ...place, packageDigest: "other" })).toBeNull();
  expect(rememberedArchive(db, { ...place, vault: "elsewhere" })).toBeNull();
  expect(() => rememberArchive(db, { ...place, vault: "elsewhere" }, seen)).toThrow(/FOREIGN KEY/);
  db.close();
});
