import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FailureError } from "../failing.ts";
import { memorySource } from "../vault/vault-fixtures.ts";
import { catalogMigrations } from "./catalog-migrations/index.ts";
import { type Db, openDatabase } from "./database.ts";
import { keepManifest, keepPackage, requireKept } from "./kept-packages.ts";
import { sightPackage } from "./vault-packages.ts";

const MIB = 1024 * 1024;
const place = {
  packageId: "id",
  packageDigest: createHash("sha256").update("seal").digest("hex"),
  engagement: "acme",
  vault: "v",
  sealVersion: "1",
};

let folder: string;
let catalog: Db;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "strongroom-db-"));
  catalog = openDatabase(join(folder, "catalog.db"), catalogMigrations, false);
});
afterEach(() => {
  catalog.close();
  rmSync(folder, { recursive: true });
});

async function keep(bytes: Buffer): Promise<void> {
  sightPackage(catalog, place);
  await keepManifest(catalog, place.packageDigest, memorySource(bytes));
  keepPackage(catalog, { ...place, sealBytes: Buffer.from("seal"), manifestSize: bytes.length });
}

test("0020 vault packages: a catalog of the version before keeps its rows", () => {
  const old = openDatabase(join(folder, "old.db"), catalogMigrations.slice(0, 1), false);
  old.exec(`INSERT INTO packages VALUES ('id', 'acme', 'a', NULL, NULL, NULL, 'held', 1, 2, 3, 'then', 'digest', 1);
    INSERT INTO files VALUES ('id', 0, 'data/a', '{}')`);
  old.close();
  const db = openDatabase(join(folder, "old.db"), catalogMigrations, false);
  expect(db.prepare("SELECT id, indexed FROM packages").all()).toEqual([{ id: "id", indexed: 1 }]);
  expect(db.prepare("SELECT path FROM files").pluck().all()).toEqual(["data/a"]);
  expect(db.prepare("SELECT count(*) FROM vault_packages").pluck().get()).toBe(0);
  db.close();
});

test.each([1, MIB - 1, MIB, MIB + 1, 3 * MIB + 5])(
  "a manifest of %i bytes is read in any range",
  async (size) => {
    const bytes = randomBytes(size);
    await keep(bytes);
    const { manifest, sealBytes } = requireKept(catalog, place.packageId, place.packageDigest);
    expect([manifest.size, sealBytes.toString()]).toEqual([size, "seal"]);
    for (const [from, to] of [
      [0, size],
      [size - 1, size],
      [Math.floor(size / 3), Math.ceil((size * 2) / 3)],
      [Math.max(0, Math.min(size, MIB) - 2), Math.min(size, MIB + 2)],
    ] as const) {
      const target = Buffer.alloc(Math.max(0, to - from));
      await manifest.read(from, target);
      expect(target.equals(bytes.subarray(from, from + target.length)), `${from} to ${to}`).toBe(true);
    }
  },
);

test.each([
  ["is gone", "DELETE FROM manifest_chunks WHERE number = 1"],
  ["is no longer what was packed", "UPDATE manifest_chunks SET bytes = x'00' WHERE number = 1"],
  ["is too short", "UPDATE manifest_chunks SET bytes = x'0300' WHERE number = 1"],
])("a chunk that %s is told of as damage, with the way out", async (_, sql) => {
  await keep(randomBytes(2 * MIB));
  catalog.exec(sql);
  const { manifest } = requireKept(catalog, place.packageId, place.packageDigest);
  const error: unknown = await manifest.read(MIB, Buffer.alloc(10)).catch((reason: unknown) => reason);
  if (!(error instanceof FailureError)) throw new Error("it was read all the same");
  expect(error.failure).toMatchObject({
    code: "DATABASE_DAMAGED",
    nextStep: expect.stringContaining("strongroom sync"),
  });
});

test("a manifest or seal that somebody changed in the database is not taken for the sealed one", async () => {
  const bytes = randomBytes(2 * MIB + 1);
  await keep(bytes);
  const sealed = createHash("sha256").update(bytes).digest("hex");
  const { manifest } = requireKept(catalog, place.packageId, place.packageDigest);
  await manifest.requireSealed(sealed);
  catalog
    .prepare("UPDATE manifest_chunks SET bytes = ? WHERE number = 2")
    .run(deflateRawSync(Buffer.of((bytes.at(-1) ?? 0) ^ 1)));
  const error: unknown = await manifest.requireSealed(sealed).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ failure: { code: "DATABASE_DAMAGED" } });
  catalog.exec("UPDATE vault_packages SET seal = x'00'");
  expect(() => requireKept(catalog, place.packageId, place.packageDigest)).toThrow(FailureError);
});

test("another seal under the same id lets go of what was kept of the first", async () => {
  await keep(randomBytes(10));
  sightPackage(catalog, { ...place, packageDigest: "e".repeat(64) });
  expect(() => requireKept(catalog, place.packageId, place.packageDigest)).toThrow(FailureError);
});
