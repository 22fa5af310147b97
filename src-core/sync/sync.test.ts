import { generateKeyPairSync } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import Database from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Progress } from "../../src-contract/progress.ts";
import { failureIn, filesBelow, valueIn, Workroom } from "../testing/workroom.ts";
import { packageKeys } from "../vault/vault-keys.ts";
import { TwoDevices } from "./sync-fixtures.ts";

let two: TwoDevices;
beforeEach(async () => {
  two = await TwoDevices.open();
});
afterEach(() => two.close());

const keysOf = (id: string, name = "site-a") => packageKeys(Workroom.ENGAGEMENT, id, name);
const inVault = (key: string) => join(two.vault, key);

/** An encrypted signing key in the room; answers with what a build needs of it. */
function signingKey() {
  const keyPassphrase = "correct horse";
  const { privateKey } = generateKeyPairSync("ed25519");
  const options = { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: keyPassphrase } as const;
  return { keyFile: two.room.write("key.pem", privateKey.export(options)), keyPassphrase };
}

describe("a second device", () => {
  test("learns of a package and answers without the vault what the device that sealed it answers", async () => {
    const metadata = { run_id: "run-7" };
    const id = await two.store({ ...signingKey(), title: "Interviews", metadata, digest: "sha512" });
    expect(await two.sync()).toMatchObject({
      added: [id],
      stored: 1,
      problems: 0,
      failure: null,
      warnings: [],
    });
    const there = await two.answers(two.room.vault, id);
    const here = await two.offline(() => two.answers(two.reader, id));
    const [listed] = valueIn(await two.reader.packageList({}));
    expect(listed).toMatchObject({ id, holding: "remote", storedIn: "stick", title: "Interviews" });
    const { list, show, ...rest } = here;
    const { list: theirList, show: theirShow, ...theirs } = there;
    expect(rest).toEqual(theirs);
    expect(list).toMatchObject([{ ...Object(theirList)[0], holding: "remote" }]);
    expect(show).toEqual({ ...Object(theirShow), holding: "remote", folder: null });
    expect(show).toMatchObject({ signatures: [{ state: "valid" }], manifest: { metadata } });
  });

  test("hands out nothing by a manifest that was changed in its catalog; the package itself comes by the one that is sealed in it", async () => {
    const id = await two.store();
    await two.sync();
    const catalog = new Database(join(two.room.path("reader"), "catalog.db"));
    const [row] = catalog.prepare<[], { bytes: Buffer }>("SELECT bytes FROM manifest_chunks").all();
    const changed = inflateRawSync(row?.bytes ?? "")
      .toString()
      .replace("data/ev/a.txt", "data/ev/b.txt");
    catalog.prepare("UPDATE manifest_chunks SET bytes = ?").run(deflateRawSync(changed));
    catalog.close();
    const to = two.room.path("to");
    for (const file of ["data/ev/a.txt", "data/ev/b.txt"]) {
      const failure = failureIn(await two.reader.packagePull({ package: id, to, file }));
      expect(failure).toMatchObject({ code: "DATABASE_DAMAGED", nextStep: expect.stringContaining("sync") });
    }
    expect(failureIn(await two.reader.packageFiles({ package: id })).code).toBe("DATABASE_DAMAGED");
    const { path } = valueIn(await two.reader.packagePull({ package: id, to }));
    expect(filesBelow(path)).toContain(join("data", "ev", "a.txt"));
  });

  test("answers the same, to the byte, after its catalog was deleted and it synced again", async () => {
    const id = await two.store(signingKey());
    await two.store({ name: "site-b", mode: "reference" });
    await two.sync();
    const before = await two.answers(two.reader, id);
    await two.reopenReader("catalog");
    expect(valueIn(await two.reader.packageList({}))).toEqual([]);
    expect((await two.sync()).added).toHaveLength(2);
    await two.offline(async () => expect(await two.answers(two.reader, id)).toEqual(before));
  });

  test("fetches nothing again that its catalog has", async () => {
    await two.store();
    await two.sync();
    const phases = new Set<Progress["phase"]>();
    const onProgress = ({ phase }: Progress) => void phases.add(phase);
    expect(valueIn(await two.reader.sync({}, { onProgress })).engagements).toMatchObject([
      { added: [], stored: 1 },
    ]);
    expect([...phases]).toEqual(["look"]);
    const another = await two.store({ name: "site-b" });
    const outcome = await two.reader.sync({ engagement: Workroom.ENGAGEMENT }, { onProgress });
    expect(valueIn(outcome).engagements).toMatchObject([{ added: [another], stored: 2 }]);
    expect([...phases]).toEqual(["look", "fetch manifests"]);
  });

  test("pulls one file by what the catalog keeps: neither seal nor manifest is read from the vault", async () => {
    const id = await two.store();
    await two.sync();
    for (const key of [keysOf(id).seal, keysOf(id).manifest]) rmSync(inVault(key));
    const to = two.room.path("one");
    valueIn(await two.reader.packagePull({ package: id, to, file: "data/ev/a.txt" }));
    expect(filesBelow(to)).toEqual(["a.txt"]);
    expect(readFileSync(join(to, "a.txt"), "utf8")).toBe("alpha");
  });

  test("pulls a whole package by its short id, and verifies it here and in the vault", async () => {
    const id = await two.store(signingKey());
    await two.sync();
    const to = two.room.path("whole");
    const pulled = valueIn(await two.reader.packagePull({ package: id.slice(0, 13), to }));
    expect(valueIn(await two.reader.verify({ target: pulled.path })).verdict).toBe("valid");
    const remote = valueIn(await two.reader.verify({ target: id, remote: true, full: true }));
    expect(remote).toMatchObject({ verdict: "valid", signatures: [{ state: "valid" }] });
    const handed = valueIn(await two.reader.packageHandover({ package: id, to: two.room.path("handed") }));
    expect(handed.files).toContain("HOW-TO-VERIFY.txt");
  });

  test("is told, offline, where a package's content is and what it can do", async () => {
    const id = await two.store();
    await two.sync();
    await two.offline(async () => {
      for (const file of [undefined, "data/ev/a.txt"]) {
        const request = { package: id, to: two.room.path("pulled"), ...(file === undefined ? {} : { file }) };
        const failure = failureIn(await two.reader.packagePull(request));
        expect(failure).toMatchObject({ code: "VAULT_UNREACHABLE", subject: id });
        expect(failure.message).toContain(
          "not on this device but in vault stick, which cannot be reached now",
        );
        expect(failure.nextStep).toContain(`package files ${id}`);
      }
    });
    const failure = failureIn(await two.reader.verify({ target: id }));
    expect(failure).toMatchObject({ code: "PACKAGE_NOT_HELD", nextStep: expect.stringContaining("pull") });
  });

  test("learns a signature that was added later, and keeps one that somebody removed", async () => {
    const id = await two.store(signingKey());
    const folder = inVault(keysOf(id).signaturesPrefix.slice(0, -1));
    const [name = ""] = filesBelow(folder);
    const envelope = join(folder, name);
    renameSync(envelope, two.room.path("aside"));
    await two.sync();
    const states = async () =>
      valueIn(await two.reader.packageShow({ package: id })).signatures.map(({ state }) => state);
    expect(await states()).toEqual([]);
    copyFileSync(two.room.path("aside"), envelope);
    expect(await two.sync()).toMatchObject({ added: [], problems: 0 });
    expect(await states()).toEqual(["valid"]);
    rmSync(envelope);
    const { warnings } = await two.sync();
    expect(warnings).toMatchObject([{ code: "OBJECT_CHANGED", message: expect.stringContaining(name) }]);
    expect(await states()).toEqual(["valid"]);
  });
});

describe("a package that comes to be on this device", () => {
  test("is held from then on and known to be in the vault; without its folder it is remote again", async () => {
    const id = await two.store();
    await two.sync();
    const { path } = valueIn(
      await two.reader.packagePull({ package: id, to: two.room.path("pulled"), as: "tar" }),
    );
    expect(valueIn(await two.reader.packageImport({ path }))).toMatchObject({
      id,
      holding: "held",
      storedIn: "stick",
    });
    expect(valueIn(await two.reader.packageList({}))).toMatchObject([{ id, holding: "held" }]);
    expect(await two.sync()).toMatchObject({ added: [], stored: 1, problems: 0 });
    rmSync(join(two.room.path("reader"), "packages", id), { recursive: true });
    await two.reopenReader();
    const outcome = await two.reader.packageList({});
    expect(valueIn(outcome)).toMatchObject([{ id, holding: "remote", storedIn: "stick" }]);
    expect(outcome.ok && outcome.warnings).toBeFalsy();
    await two.offline(async () =>
      expect(valueIn(await two.reader.packageFiles({ package: id })).total).toBe(3),
    );
  });

  test("is found where a killed process had not catalogued it", async () => {
    const id = await two.store();
    await two.sync();
    mkdirSync(join(two.room.path("reader"), "packages"), { recursive: true });
    renameSync(join(two.room.home, "packages", id), join(two.room.path("reader"), "packages", id));
    await two.reopenReader();
    expect(valueIn(await two.reader.packageList({}))).toMatchObject([{ id, holding: "held" }]);
  });

  test("is nothing new to the device that stored it, which knows of it without its catalog, too", async () => {
    const id = await two.store();
    expect(await two.sync(two.room.vault)).toMatchObject({ added: [], stored: 1, problems: 0 });
    expect(valueIn(await two.room.vault.packageList({}))).toMatchObject([
      { id, holding: "held", storedIn: "stick" },
    ]);
  });
});
