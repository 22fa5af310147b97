import { generateKeyPairSync } from "node:crypto";
import { copyFileSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { VerificationReport } from "../../src-contract/findings.ts";
import type { OpenedVault } from "../open-vault.ts";
import { codesOf, failureIn, filesBelow, valueIn, Workroom } from "../testing/workroom.ts";

const MIB = 1024 * 1024;
let room: Workroom;
beforeEach(async () => {
  room = await Workroom.open();
});
afterEach(() => room.close());

/** A package of several parts in the vault: two large files, small ones between them. */
async function storedPackage() {
  room.write("ev/a-large.bin", Buffer.alloc(20 * MIB, 1));
  for (let number = 0; number < 30; number++) room.write(`ev/b-small/${number + 10}.txt`, `small ${number}`);
  room.write("ev/c-large.bin", Buffer.alloc(20 * MIB, 2));
  const vault = await room.addVault();
  const { id } = await room.build("ev");
  valueIn(await room.vault.packagePush({ package: id }));
  const folder = join(vault, "engagements", Workroom.ENGAGEMENT, "packages", id);
  return { id, folder, archive: join(folder, "site-a.tar") };
}

function flip(file: string, at: number): void {
  const bytes = readFileSync(file);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}

async function remote(vault: OpenedVault, target: string, full: boolean): Promise<VerificationReport> {
  return valueIn(await vault.verify({ target, remote: true, full }));
}

/** Another device that knows the engagement and its vault, and nothing else. */
async function otherDevice(): Promise<OpenedVault> {
  const other = await room.openOther("other");
  valueIn(await other.vaultAddFolder({ name: "stick", path: room.path("vault") }));
  valueIn(await other.engagementCreate({ id: Workroom.ENGAGEMENT, vault: "stick" }));
  return other;
}

test("attested by what this device remembers, verified by reading; only that is `last verified`", async () => {
  const { id } = await storedPackage();
  const lastVerified = async () => valueIn(await room.vault.packageShow({ package: id })).lastVerified;
  const attested = await remote(room.vault, id, false);
  expect(attested).toMatchObject({ verdict: "attested", method: "attested by the store", signatures: [] });
  expect(attested.proof?.proven[0]).toMatch(
    /^Size, inode and times are those recorded when it was stored on .+ by .+: the file system says that the object is the same; no byte was read\.$/,
  );
  expect(await lastVerified()).toBeNull();
  const verified = await remote(room.vault, id, true);
  expect(verified).toMatchObject({ verdict: "valid", method: "stored archive", findings: [] });
  expect(verified.proof).toMatchObject({ basis: "every part read", notProven: [] });
  expect(await lastVerified()).toBe(verified.finished);
  expect(valueIn(await room.vault.packageList({}))[0]?.lastVerified).toBe(verified.finished);
  const again = await remote(room.vault, id, false);
  expect(again.proof?.proven[0]).toContain("when this device read every byte of it on");
  expect(await lastVerified()).toBe(verified.finished);
});

test("an archive that was copied back is not attested until every byte of it was read", async () => {
  const { id, archive } = await storedPackage();
  copyFileSync(archive, `${room.path("copy")}`);
  rmSync(archive);
  copyFileSync(room.path("copy"), archive);
  const doubtful = await remote(room.vault, id, false);
  expect(doubtful).toMatchObject({
    verdict: "not verified",
    counts: { errors: 0, warnings: 1 },
    findings: [{ code: "RECORD_DIFFERS", severity: "warning" }],
  });
  expect((await remote(room.vault, id, true)).verdict).toBe("valid");
  expect((await remote(room.vault, id, false)).verdict).toBe("attested");
});

test("each damaged part is named with its range and the files in it, whichever manifest is at hand", async () => {
  const { id, folder, archive } = await storedPackage();
  const other = await otherDevice();
  const { partSize, archiveSize } = valueIn(await room.vault.packageShow({ package: id })).seal;
  flip(archive, partSize + 100);
  const findings = (await remote(room.vault, id, true)).findings;
  expect(findings).toHaveLength(1);
  const [part] = findings;
  expect(part?.message).toContain(`Part 2 of 3, bytes ${partSize} to ${2 * partSize - 1}, differs`);
  expect(part?.message).toContain("32 files lie in it.");
  expect(part?.files?.[0]).toBe("data/ev/a-large.bin");
  expect(part?.files?.at(-1)).toBe("data/ev/c-large.bin");
  // A device that holds no manifest takes the one in the vault, if it is sound.
  expect((await remote(other, id, true)).findings).toEqual(findings);
  flip(join(folder, "manifest.json"), 5);
  const unknown = (await remote(other, id, true)).findings;
  expect(unknown.map(({ code }) => code)).toEqual(["MANIFEST_JSON_DIGEST", "PART_DIFFERS"]);
  expect(unknown[1]?.message).toContain("no sound manifest.json is at hand");
  truncateSync(archive, 2 * partSize);
  const cut = (await remote(room.vault, id, true)).findings.find(({ code }) => code === "ARCHIVE_SIZE");
  expect(cut?.message).toContain(
    `Bytes ${2 * partSize} to ${archiveSize - 1} are gone; 1 file and the bag's own lists lie there.`,
  );
  expect(cut?.files).toEqual(["data/ev/c-large.bin"]);
  await other.close();
});

test("a device that only knows the vault attests by the record there, and says whose word that is", async () => {
  const { id, folder } = await storedPackage();
  const other = await otherDevice();
  const attested = await remote(other, id, false);
  expect(attested.verdict).toBe("attested");
  const open = attested.proof?.notProven.join(" ");
  expect(open).toContain("whoever can replace the archive can replace it");
  expect(open).toContain("Who sealed it");
  rmSync(join(folder, "stored"), { recursive: true });
  const sizeOnly = await remote(other, id, false);
  expect(sizeOnly).toMatchObject({ verdict: "not verified", method: "looked up in the vault" });
  expect((await remote(other, id, true)).verdict).toBe("valid");
  // From now on it remembers for itself.
  expect(await remote(other, id, false)).toMatchObject({
    verdict: "attested",
    proof: { basis: "recorded version" },
  });
  await other.close();
});

test("the vault's signatures are verified with the bytes; nothing of it touches the disk", async () => {
  const passphrase = "correct horse";
  const { privateKey } = generateKeyPairSync("ed25519");
  const pem = privateKey.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase });
  const keyFile = room.write("key.pem", pem.toString());
  const vault = await room.addVault();
  room.write("ev/a.txt", "alpha");
  const { id } = await room.build("ev", { keyFile, keyPassphrase: passphrase });
  valueIn(await room.vault.packagePush({ package: id }));
  const other = await otherDevice();
  const before = filesBelow(room.path("other")).filter((name) => !name.includes(".db"));
  expect(await remote(other, id, true)).toMatchObject({
    verdict: "valid",
    signatures: [{ state: "valid" }],
  });
  expect(filesBelow(room.path("other")).filter((name) => !name.includes(".db"))).toEqual(before);
  const below = join(vault, "engagements", Workroom.ENGAGEMENT, "packages", id, "signatures");
  const file = join(below, readdirSync(below)[0] ?? "");
  writeFileSync(file, readFileSync(file, "utf8").replace(/"sig":"../, '"sig":"AA'));
  expect(codesOf(await remote(other, id, true))).toEqual(["SIGNATURE"]);
  expect((await remote(other, id, false)).signatures).toEqual([]);
  await other.close();
});

test("what was never pushed is no verdict; a path is no package in a vault", async () => {
  room.write("ev/a.txt", "alpha");
  await room.addVault();
  const { id } = await room.build("ev");
  for (const full of [false]) {
    const failure = failureIn(await room.vault.verify({ target: id, remote: true, full }));
    expect(failure.code).toBe("PACKAGE_NOT_STORED");
  }
  const path = room.path("ev");
  expect(failureIn(await room.vault.verify({ target: path, remote: true })).code).toBe("INVALID_INPUT");
});
