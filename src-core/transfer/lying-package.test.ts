import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parseSeal } from "../package/seal-file.ts";
import {
  entryOf,
  layOut,
  putTogether,
  retag,
  rewrite,
  sealFor,
  takeApart,
} from "../testing/forge-archive.ts";
import { failureIn, valueIn, Workroom } from "../testing/workroom.ts";
import { packageKeys } from "../vault/vault-keys.ts";

const FILE = "data/ev/a.txt";
const right = createHash("sha256").update("alpha").digest("hex");

let room: Workroom;
beforeEach(async () => {
  room = await Workroom.withEvidence();
});
afterEach(() => room.close());

/** A package of this id whose parts fit its seal, while its manifests say something else of a file than the archive holds. */
async function lyingPackage() {
  const { id, folder } = await room.build("ev");
  const entries = takeApart(readFileSync(join(folder, "site-a.tar")));
  for (const path of ["manifest.json", "manifest-sha256.txt"]) {
    const entry = entryOf(entries, path);
    rewrite(entry, "site-a", entry.content.toString().replace(right, "0".repeat(64)));
  }
  retag(entries, "site-a");
  const archive = putTogether(entries);
  const seal = sealFor(archive, entries, parseSeal(readFileSync(join(folder, "seal.json"))));
  return { id, archive, seal, manifest: entryOf(entries, "manifest.json").content };
}

/** It lies in a vault that another device reads; `manifest` is what lies there beside the archive. */
async function lyingInVault(manifestBeside?: Uint8Array | null) {
  const { id, archive, seal, manifest } = await lyingPackage();
  const reader = await room.openOther("reader");
  valueIn(await reader.engagementCreate({ id: Workroom.ENGAGEMENT }));
  const vault = await room.addVault(reader);
  const keys = packageKeys(Workroom.ENGAGEMENT, id, "site-a");
  mkdirSync(dirname(join(vault, keys.seal)), { recursive: true });
  writeFileSync(join(vault, keys.archive), archive);
  if (manifestBeside !== null) writeFileSync(join(vault, keys.manifest), manifestBeside ?? manifest);
  writeFileSync(join(vault, keys.seal), seal);
  return { id, reader, to: room.path("pulled") };
}

test.each([
  ["", undefined],
  [", also without its manifest beside the archive", null],
  [", also with another manifest beside the archive", Buffer.from("{}")],
] as const)(
  "a vault's package whose files are not what its manifests say is not pulled as a bag%s",
  async (_also, beside) => {
    const { id, reader, to } = await lyingInVault(beside);
    for (let again = 0; again < 2; again++) {
      const failure = failureIn(await reader.packagePull({ package: id, to, as: "bag" }));
      expect(failure.code).toBe("NOT_VALID");
      expect(failure.message).toContain(FILE);
      expect(existsSync(to) ? readdirSync(to) : []).toEqual([]);
    }
    await reader.close();
  },
);

test("as a tar it is pulled as it was sealed, and its first verification says what it is", async () => {
  const { id, reader, to } = await lyingInVault();
  const { path } = valueIn(await reader.packagePull({ package: id, to, as: "tar" }));
  const report = valueIn(await reader.verify({ target: path }));
  expect(report.verdict).toBe("not valid");
  expect(report.findings.map((finding) => finding.path)).toContain(FILE);
  await reader.close();
});

test("a package whose id is here with another seal is refused, and the one that is here stays as it was", async () => {
  const { id, archive, seal } = await lyingPackage();
  const before = valueIn(await room.vault.packageShow({ package: id }));
  const path = layOut(room.path("offered"), "site-a", archive, seal);
  expect(failureIn(await room.vault.packageImport({ path }))).toMatchObject({
    code: "OBJECT_CONFLICT",
    subject: id,
  });
  expect(valueIn(await room.vault.packageShow({ package: id }))).toEqual(before);
  expect((await room.verify(id, { full: true })).verdict).toBe("valid");
});

test("a package with a signature that does not fit is not taken in; without that signature it is", async () => {
  const { id } = await room.build("ev");
  const { folder } = valueIn(await room.vault.packageHandover({ package: id, to: room.path("handover") }));
  const bytes = Buffer.from("{}");
  const name = `${"0".repeat(64)}-${createHash("sha256").update(bytes).digest("hex")}.dsse.json`;
  const signatures = join(folder, "site-a.signatures");
  mkdirSync(signatures, { recursive: true });
  writeFileSync(join(signatures, name), bytes);
  const other = await room.openOther("other");
  const path = join(folder, "site-a.tar");
  const failure = failureIn(await other.packageImport({ path }));
  expect(failure.code).toBe("NOT_VALID");
  expect(failure.message).toContain(name);
  expect(valueIn(await other.packageList({}))).toEqual([]);
  rmSync(join(signatures, name));
  expect(valueIn(await other.packageImport({ path })).id).toBe(id);
  await other.close();
});
