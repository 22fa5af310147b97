import { createHash } from "node:crypto";
import {
  appendFileSync,
  cpSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Seal } from "../../src-contract/seal.ts";
import { sealBytes } from "../package/seal-bytes.ts";
import { parseSeal } from "../package/seal-file.ts";
import { forgeStored } from "../testing/forge-stored.ts";
import { failureIn, valueIn, Workroom } from "../testing/workroom.ts";
import { packageKeys } from "../vault/vault-keys.ts";
import { TwoDevices } from "./sync-fixtures.ts";

const ID = "01938c7e-7b3a-7000-8000-00000000000";
const [BAD, OTHER] = [`${ID}1`, `${ID}2`];

let two: TwoDevices;
beforeEach(async () => {
  two = await TwoDevices.open();
});
afterEach(() => two.close());

const keysOf = (id: string, name = "site-a") => packageKeys(Workroom.ENGAGEMENT, id, name);
const inVault = (key: string) => join(two.vault, key);
const forge = (id: string, more: Partial<Parameters<typeof forgeStored>[1]> = {}) =>
  forgeStored(two.vault, {
    packageId: id,
    engagement: Workroom.ENGAGEMENT,
    name: "forged",
    files: 3,
    ...more,
  });
const sealOf = (id: string, name: string): Seal => parseSeal(readFileSync(inVault(keysOf(id, name).seal)));
const listed = async () => {
  const outcome = await two.reader.packageList({});
  return { packages: valueIn(outcome), warnings: outcome.ok ? (outcome.warnings ?? []) : [] };
};

/** What is done to a package in the vault, and how a sync must call it. */
const DAMAGE: readonly (readonly [string, string, (keys: ReturnType<typeof keysOf>) => void])[] = [
  ["a seal that is none", "SEAL_INVALID", ({ seal }) => writeFileSync(inVault(seal), "{}")],
  ["an empty seal", "SEAL_INVALID", ({ seal }) => writeFileSync(inVault(seal), "")],
  ["a seal larger than any", "SEAL_INVALID", ({ seal }) => truncateSync(inVault(seal), 5 * 1024 * 1024)],
  [
    "the seal of another package",
    "SEAL_INVALID",
    ({ seal }) => writeFileSync(inVault(seal), sealBytes({ ...sealOf(BAD, "forged"), packageId: OTHER })),
  ],
  [
    "a manifest with a byte more",
    "DIGEST_MISMATCH",
    ({ manifest }) => appendFileSync(inVault(manifest), "\n"),
  ],
  ["no manifest", "PACKAGE_NOT_STORED", ({ manifest }) => rmSync(inVault(manifest))],
  ["a manifest larger than its archive", "NOT_VALID", ({ manifest }) => truncateSync(inVault(manifest), 1e8)],
  ["no archive", "NOT_VALID", ({ archive }) => rmSync(inVault(archive))],
  ["an archive that was cut", "NOT_VALID", ({ archive }) => truncateSync(inVault(archive), 1024)],
];

describe("a package in the vault that is not as it must be", () => {
  test.each(DAMAGE)(
    "%s: %s, said at every sync and every list; the others are learnt",
    async (_, code, damage) => {
      const sound = await two.store();
      const keys = await forge(BAD);
      cpSync(inVault(keys.prefix), two.room.path("aside"), { recursive: true });
      damage(keys);
      for (const added of [[sound], []]) {
        const synced = await two.sync();
        expect(synced).toMatchObject({ added, stored: 2, problems: 1, failure: null, warnings: [{ code }] });
        expect(JSON.stringify(synced.warnings)).toContain(BAD);
        const { packages, warnings } = await listed();
        expect(packages.map(({ id }) => id)).toEqual([sound]);
        expect(warnings).toMatchObject([{ code }]);
      }
      rmSync(inVault(keys.prefix), { recursive: true });
      cpSync(two.room.path("aside"), inVault(keys.prefix), { recursive: true });
      expect(await two.sync()).toMatchObject({ added: [BAD], problems: 0, warnings: [] });
      expect((await listed()).warnings).toEqual([]);
    },
  );

  test.each([
    ["is of another package than its seal", { packageId: OTHER }, "NOT_VALID"],
    ["has another name than its archive", { name: "else" }, "NOT_VALID"],
    ["is of another engagement", { engagement: "other" }, "NOT_VALID"],
  ] as const)("a manifest that its own seal vouches for, but %s", async (_, header, code) => {
    await forge(BAD, { header });
    expect(await two.sync()).toMatchObject({ added: [], warnings: [{ code }] });
    expect((await listed()).packages).toEqual([]);
  });

  test("a manifest that its seal vouches for and that no reader may take", async () => {
    const keys = await forge(BAD, { files: 3 });
    const text = readFileSync(inVault(keys.manifest), "utf8").replace("item-0000001", "../../../etc");
    writeFileSync(inVault(keys.manifest), text);
    const manifestSha256 = createHash("sha256").update(text).digest("hex");
    writeFileSync(inVault(keys.seal), sealBytes({ ...sealOf(BAD, "forged"), manifestSha256 }));
    expect(await two.sync()).toMatchObject({ added: [], warnings: [{ code: "MANIFEST_INVALID" }] });
    expect((await listed()).packages).toEqual([]);
  });

  test("what lies beside packages and is none is left alone", async () => {
    const id = await two.store();
    const { prefix } = keysOf(id);
    for (const key of ["../not-an-id/seal.json", "signatures/x.txt", "signatures/deep/y.dsse.json"])
      two.room.write(join("vault", prefix, key), "{}");
    two.room.write(join("vault", prefix, `signatures/${"0".repeat(64)}-${"1".repeat(64)}.dsse.json`), "junk");
    expect(await two.sync()).toMatchObject({ added: [id], stored: 1, problems: 0 });
    const { signatures } = valueIn(await two.reader.packageShow({ package: id }));
    expect(signatures).toMatchObject([{ state: "invalid", fingerprint: "0".repeat(64) }]);
  });
});

describe("a package that is not in the vault any more", () => {
  test("stays known with its list of files, is warned of, and is right again when it is back", async () => {
    const id = await two.store();
    await two.sync();
    renameSync(inVault(keysOf(id).prefix), two.room.path("aside"));
    for (let syncs = 0; syncs < 2; syncs++) {
      expect(await two.sync()).toMatchObject({
        stored: 0,
        warnings: [{ code: "PACKAGE_NOT_STORED", subject: id }],
      });
      const { packages, warnings } = await listed();
      expect(packages).toMatchObject([{ id, holding: "remote", storedIn: null }]);
      expect(warnings).toMatchObject([{ code: "PACKAGE_NOT_STORED", message: expect.stringContaining(id) }]);
    }
    expect(valueIn(await two.reader.packageFiles({ package: id })).total).toBe(3);
    const pulled = await two.reader.packagePull({ package: id, to: two.room.path("to") });
    expect(failureIn(pulled).code).toBe("PACKAGE_NOT_STORED");
    renameSync(two.room.path("aside"), inVault(keysOf(id).prefix));
    expect(await two.sync()).toMatchObject({ added: [], stored: 1, problems: 0 });
    expect(await listed()).toMatchObject({ packages: [{ storedIn: "stick" }], warnings: [] });
  });

  test("is missed by the device that stored it, also without its catalog, and is in its backups again", async () => {
    const id = await two.store();
    rmSync(inVault(keysOf(id).prefix), { recursive: true });
    const { warnings } = await two.sync(two.room.vault);
    expect(warnings).toMatchObject([
      { code: "PACKAGE_NOT_STORED", nextStep: expect.stringContaining(`package push ${id}`) },
    ]);
    expect(valueIn(await two.room.vault.packageList({}))).toMatchObject([{ id, storedIn: null }]);
    expect(valueIn(await two.room.vault.backup({ to: two.room.path("backup") })).packages).toEqual([id]);
    valueIn(await two.room.vault.packagePush({ package: id }));
    expect(await two.sync(two.room.vault)).toMatchObject({ stored: 1, problems: 0 });
    expect(valueIn(await two.room.vault.packageList({}))).toMatchObject([{ id, storedIn: "stick" }]);
  });

  test("but lost its archive there is not said to be stored", async () => {
    const id = await two.store();
    await two.sync();
    rmSync(inVault(keysOf(id).archive));
    expect((await two.sync()).warnings).toMatchObject([{ code: "NOT_VALID", subject: id }]);
    expect((await listed()).packages).toMatchObject([{ storedIn: null }]);
  });
});

describe("another seal under the id of a package", () => {
  test("that was learnt before is refused; what was learnt stays", async () => {
    await forge(BAD);
    await two.sync();
    const before = valueIn(await two.reader.packageShow({ package: BAD }));
    await forge(BAD, { files: 4 });
    for (let syncs = 0; syncs < 2; syncs++)
      expect((await two.sync()).warnings).toMatchObject([{ code: "OBJECT_CONFLICT", subject: BAD }]);
    expect(valueIn(await two.reader.packageShow({ package: BAD }))).toEqual({ ...before, storedIn: null });
    const pulled = await two.reader.packagePull({ package: BAD, to: two.room.path("to") });
    expect(failureIn(pulled)).toMatchObject({ code: "OBJECT_CONFLICT", subject: BAD });
    expect(valueIn(await two.reader.packageFiles({ package: BAD })).total).toBe(3);
  });

  test("that this device holds is refused, and does not touch what is held", async () => {
    const { id } = await two.room.build("ev");
    const before = valueIn(await two.room.vault.packageShow({ package: id }));
    await forge(id);
    expect((await two.sync(two.room.vault)).warnings).toMatchObject([
      { code: "OBJECT_CONFLICT", subject: id },
    ]);
    expect(valueIn(await two.room.vault.packageShow({ package: id }))).toEqual(before);
  });

  test("gives way to the one that is taken in on this device, with its list of files", async () => {
    const { id } = await two.room.build("ev");
    const keys = await forge(id);
    await two.sync();
    expect(valueIn(await two.reader.packageFiles({ package: id, search: "item" })).total).toBe(3);
    rmSync(inVault(keys.prefix), { recursive: true });
    const { path } = valueIn(
      await two.room.vault.packagePull({ package: id, to: two.room.path("to"), as: "tar" }),
    );
    expect(valueIn(await two.reader.packageImport({ path }))).toMatchObject({
      holding: "held",
      name: "site-a",
    });
    expect(valueIn(await two.reader.packageFiles({ package: id })).files.map((file) => file.path)).toEqual([
      "data/ev/a.txt",
      "data/ev/b.txt",
      "data/ev/empty",
    ]);
  });
});
