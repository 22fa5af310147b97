import { appendFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Db } from "../catalog/database.ts";
import type { RangeSource } from "../ports.ts";
import { failureOf, memorySource, scratch } from "../vault/vault-fixtures.ts";
import { pushPackage } from "./push-package.ts";
import {
  archiveBytes,
  archiveOf,
  KEYS,
  makeWorkplace,
  openLedger,
  PACKAGE_ID,
  PART,
  pushOptions,
  STORED_FILES,
  vaultFiles,
  vaultOf,
} from "./transfer-fixtures.ts";

let folder: ReturnType<typeof scratch>;
let db: Db;
let archive: RangeSource;
const inPackage = (name: string) => join(folder.path, "package", name);
const reopenArchive = async () => {
  await archive.close();
  archive = await archiveOf(folder.path);
};
beforeEach(async () => {
  folder = scratch();
  makeWorkplace(folder.path);
  db = openLedger(folder.path);
  archive = await archiveOf(folder.path);
});
afterEach(async () => {
  await archive.close();
  db.close();
  folder[Symbol.dispose]();
});

test.each([
  ["longer", () => appendFileSync(inPackage("site-a.tar"), "more")],
  ["shorter", () => truncateSync(inPackage("site-a.tar"), PART)],
])(
  "an archive that is %s than it was sealed is not sent at all; the right one is afterwards",
  async (_, change) => {
    change();
    await reopenArchive();
    const failure = await failureOf(pushPackage(pushOptions(folder.path, db, archive)));
    expect(failure.code).toBe("SOURCE_CHANGED");
    expect(vaultFiles(folder.path)).toEqual([]);
    writeFileSync(inPackage("site-a.tar"), archiveBytes());
    await reopenArchive();
    await pushPackage(pushOptions(folder.path, db, archive));
    expect(vaultFiles(folder.path)).toEqual(STORED_FILES);
  },
);

test("a manifest.json that is not the sealed one is not stored, and the package does not count as stored", async () => {
  appendFileSync(inPackage("manifest.json"), " ");
  const failure = await failureOf(pushPackage(pushOptions(folder.path, db, archive)));
  expect(failure).toMatchObject({ code: "DIGEST_MISMATCH", subject: inPackage("manifest.json") });
  expect(vaultFiles(folder.path)).not.toContain("manifest.json");
  expect(vaultFiles(folder.path)).not.toContain("seal.json");
});

test("a package goes to the vault of its own engagement only", async () => {
  const options = pushOptions(folder.path, db, archive, { engagement: "other-2026" });
  expect(await failureOf(pushPackage(options))).toMatchObject({ code: "INVALID_INPUT", subject: PACKAGE_ID });
  expect(vaultFiles(folder.path)).toEqual([]);
});

test("a part of another size than its plan says is not taken", async () => {
  const vault = vaultOf(folder.path);
  const bytes = archiveBytes();
  const upload = await vault.beginUpload(KEYS.archive, bytes.length, PART);
  for (const size of [0, PART - 1, PART + 1]) {
    const part = { number: 1, source: memorySource(bytes), offset: 0, size, sha256: null };
    expect((await failureOf(vault.putPart(upload, part))).code).toBe("INVALID_INPUT");
  }
});
