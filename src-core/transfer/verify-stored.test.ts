import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { SeenArchive } from "../catalog/seen-archives.ts";
import type { Attestation, ObjectInfo, Vault } from "../ports.ts";
import { failureOf, scratch } from "../vault/vault-fixtures.ts";
import { type AttestQuestion, attestStored } from "./attest-stored.ts";
import { pushPackage } from "./push-package.ts";
import {
  archiveBytes,
  archiveOf,
  KEYS,
  makeWorkplace,
  openLedger,
  PACKAGE_ID,
  PART,
  PARTS,
  pushOptions,
  SIZE,
  sealOf,
  vaultOf,
  withMethod,
} from "./transfer-fixtures.ts";
import { verifyStored } from "./verify-stored.ts";

const clock = { now: () => 0 };
const { seal, sealBytes } = sealOf(archiveBytes());
const packageDigest = createHash("sha256").update(sealBytes).digest("hex");

/** A workplace whose package is in the vault, and the question that is asked of it. */
async function stored() {
  const folder = scratch();
  makeWorkplace(folder.path);
  const db = openLedger(folder.path);
  const archive = await archiveOf(folder.path);
  // What a package is signed with in these fixtures is no signature.
  await pushPackage(pushOptions(folder.path, db, archive, { signatureFiles: [] }));
  await archive.close();
  const { path } = folder;
  const question: AttestQuestion & Parameters<typeof verifyStored>[0] = {
    vault: vaultOf(path),
    seal,
    sealBytes,
    packageDigest,
    sealFromVault: false,
    clock,
    remembered: null,
    knownStored: false,
    manifest: null,
    known: true,
  };
  const dispose = () => {
    db.close();
    folder[Symbol.dispose]();
  };
  const inVault = (key: string) => join(path, "vault", key);
  return { path, inVault, question, [Symbol.dispose]: dispose };
}

function flip(file: string, ...places: readonly number[]): void {
  const bytes = readFileSync(file);
  for (const at of places) bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}

/** A store that keeps SHA-256 as `kept` says, and tells every request that it gets. */
function keepingSha256(vault: Vault, kept: (object: ObjectInfo) => Partial<Attestation> | null) {
  const requests: string[] = [];
  const told =
    <A extends unknown[], R>(name: string, work: (...args: A) => R) =>
    (...args: A): R => {
      requests.push(`${name} ${String(args[0])}`);
      return work(...args);
    };
  const store: Vault = {
    ...vault,
    kind: "s3",
    head: told("head", vault.head),
    list: told("list", vault.list),
    getRange: told("get", vault.getRange),
    readRange: told("read", vault.readRange),
    attest: (object) => {
      const found = kept(object);
      return found === null
        ? null
        : { method: "sha256 kept by the store", matches: true, expected: "e", actual: "a", ...found };
    },
  };
  return { store, requests };
}

test("where the store keeps SHA-256 one request attests the archive, and the report says what that proves", async () => {
  using at = await stored();
  const { store, requests } = keepingSha256(vaultOf(at.path), () => ({}));
  const verdict = await attestStored({ ...at.question, vault: store });
  expect(requests).toEqual([`head ${KEYS.archive}`]);
  expect(verdict).toMatchObject({
    verdict: "attested",
    method: "attested by the store",
    findings: [],
    bytes: 0,
  });
  expect(verdict.proof.basis).toBe("sha256 kept by the store");
  expect(verdict.proof.proven).toEqual([
    `The store's own SHA-256 of all ${PARTS} parts equals the seal's: no byte was read by this device.`,
  ]);
  expect(verdict.proof.notProven.join(" ")).toContain("seal.json, manifest.json and the signatures");
});

test("a store's SHA-256 that differs is never attested, and condemns nothing: reading decides", async () => {
  using at = await stored();
  const { store } = keepingSha256(vaultOf(at.path), () => ({ matches: false }));
  const doubtful = await attestStored({ ...at.question, vault: store });
  expect(doubtful.verdict).toBe("not verified");
  expect(doubtful.findings).toMatchObject([
    { code: "STORE_DIGEST_DIFFERS", severity: "warning", expected: "e", actual: "a" },
  ]);
  expect(doubtful.findings[0]?.message).toContain("in parts of another size");
  const onePart = { ...seal, parts: ["00".repeat(32)], partSize: 1024 * 1024 };
  const one = await attestStored({ ...at.question, seal: onePart, vault: store });
  expect(one).toMatchObject({ verdict: "not verified", findings: [{ code: "STORE_DIGEST_DIFFERS" }] });
});

test("an archive that was copied whole within the store is attested by the digest of the whole", async () => {
  using at = await stored();
  const archiveSha256 = createHash("sha256").update(archiveBytes()).digest("hex");
  const base = vaultOf(at.path);
  const asked: string[][] = [];
  const store: Vault = {
    ...base,
    attest: (_object, { digests }) => {
      asked.push([...digests]);
      const matches = digests[0] === archiveSha256;
      return digests.length > 1
        ? null
        : { method: "sha256 kept by the store", matches, expected: "e", actual: "a" };
    },
  };
  const verdict = await attestStored({ ...at.question, seal: { ...seal, archiveSha256 }, vault: store });
  expect(verdict.verdict).toBe("attested");
  expect(asked).toEqual([seal.parts, [archiveSha256]]);
});

test("elsewhere the object is held against what was recorded when it was stored", async () => {
  using at = await stored();
  const { store, requests } = keepingSha256(vaultOf(at.path), () => null);
  const byRecord = await attestStored({ ...at.question, vault: store });
  expect(byRecord.verdict).toBe("attested");
  expect(byRecord.proof).toMatchObject({ basis: "recorded version" });
  expect(byRecord.proof.proven[0]).toMatch(
    /^Size and ETag are those recorded when it was stored on \d{4}-\d\d-\d\d \d\d:\d\d UTC by alice, as the record in the vault says: the store says that the object is the same; no byte was read\.$/,
  );
  expect(byRecord.proof.notProven.join(" ")).toContain("whoever can replace the archive can replace it");
  expect(requests.filter((request) => request.startsWith("read"))).toEqual([]);
});

test("what this device remembers goes before the vault's records, and needs no request for them", async () => {
  using at = await stored();
  const { store, requests } = keepingSha256(vaultOf(at.path), () => null);
  const archive = (await vaultOf(at.path).head(KEYS.archive)) as ObjectInfo;
  const { size, version } = archive;
  const remembered: SeenArchive = { size, version, how: "read", by: "laptop", time: "2026-03-14T09:26:53Z" };
  const same = await attestStored({ ...at.question, vault: store, remembered });
  expect(requests).toEqual([`head ${KEYS.archive}`]);
  expect(same.verdict).toBe("attested");
  expect(same.proof.proven).toEqual([
    "Size and ETag are those recorded when this device read every byte of it on 2026-03-14 09:26 UTC: the store says that the object is the same; no byte was read.",
  ]);
  // The record in the vault fits, this device's memory does not: whoever replaced the archive can have replaced the record.
  const other = await attestStored({
    ...at.question,
    vault: store,
    remembered: { ...remembered, version: "another" },
  });
  expect(other.verdict).toBe("not verified");
  expect(other.findings).toMatchObject([
    { code: "RECORD_DIFFERS", severity: "warning", expected: "ETag another", actual: `ETag ${version}` },
  ]);
});

test("another version of the object under the same ETag is not the recorded one", async () => {
  using at = await stored();
  const base = vaultOf(at.path);
  const archive = (await base.head(KEYS.archive)) as ObjectInfo;
  const { size, version } = archive;
  const remembered: SeenArchive = {
    ...{ size, version, versionId: "v1", how: "stored", by: "laptop" },
    time: "2026-03-14T09:26:53Z",
  };
  const withId = (versionId: string) => {
    const head: Vault["head"] = async (key) => {
      const info = await base.head(key);
      return info === null ? null : { ...info, versionId };
    };
    return { ...base, kind: "s3" as const, head };
  };
  const same = await attestStored({ ...at.question, vault: withId("v1"), remembered });
  expect(same.proof.proven[0]).toMatch(/^Size, ETag and version id are those recorded/);
  const other = await attestStored({ ...at.question, vault: withId("v2"), remembered });
  expect(other).toMatchObject({
    verdict: "not verified",
    findings: [{ code: "RECORD_DIFFERS", expected: "version id v1", actual: "version id v2" }],
  });
});

test("with nothing but the size to compare, nothing is attested", async () => {
  using at = await stored();
  rmSync(at.inVault(KEYS.storedPrefix), { recursive: true });
  const verdict = await attestStored(at.question);
  expect(verdict).toMatchObject({ verdict: "not verified", method: "looked up in the vault", findings: [] });
  expect(verdict.proof).toMatchObject({ basis: "size alone" });
  expect(verdict.proof.proven[0]).toMatch(/^Only the size was compared: \d+ bytes, as sealed\./);
});

test("records of another seal, of a form that is not known or too large prove nothing", async () => {
  using at = await stored();
  rmSync(at.inVault(KEYS.storedPrefix), { recursive: true });
  const vault = vaultOf(at.path);
  const { size, version } = (await vault.head(KEYS.archive)) as ObjectInfo;
  const record = {
    ...{ format: "strongroom-stored/1", packageId: PACKAGE_ID, packageDigest, size, version },
    ...{ method: "read back", actor: "eve", time: "2026-01-01T00:00:00Z" },
  };
  const put = (name: string, value: unknown) =>
    vault.put(`${KEYS.storedPrefix}${name}.json`, Buffer.from(JSON.stringify(value)));
  await put("a", { ...record, packageDigest: "00".repeat(32) });
  await put("b", { ...record, format: "strongroom-stored/2" });
  await put("c", { ...record, note: "x".repeat(100_000) });
  expect((await attestStored(at.question)).verdict).toBe("not verified");
  await put("d", record);
  expect((await attestStored(at.question)).verdict).toBe("attested");
});

test("a size that differs is not valid; a package that was never there is no verdict", async () => {
  using at = await stored();
  truncateSync(at.inVault(KEYS.archive), PART);
  const short = await attestStored(at.question);
  expect(short).toMatchObject({ verdict: "not valid", findings: [{ code: "ARCHIVE_SIZE" }] });
  rmSync(at.inVault(KEYS.archive));
  expect((await attestStored(at.question)).verdict).toBe("not valid");
  rmSync(at.inVault(KEYS.seal));
  expect(await failureOf(attestStored(at.question))).toMatchObject({ code: "PACKAGE_NOT_STORED" });
  expect((await attestStored({ ...at.question, knownStored: true })).verdict).toBe("not valid");
});

test("only reading finds a flipped byte, and it names every damaged part with its range", async () => {
  using at = await stored();
  const sound = await verifyStored(at.question);
  expect(sound).toMatchObject({ verdict: "valid", findings: [], bytes: SIZE, parts: PARTS });
  expect(sound.archive).toEqual(await vaultOf(at.path).head(KEYS.archive));
  flip(at.inVault(KEYS.archive), 0, SIZE - 1);
  const damaged = await verifyStored(at.question);
  expect(damaged).toMatchObject({ verdict: "not valid", archive: null });
  expect(damaged.findings.map(({ code, message }) => `${code} ${message.split(";")[0]}`)).toEqual([
    `PART_DIFFERS Part 1 of ${PARTS}, bytes 0 to ${PART - 1}, differs from what was sealed`,
    `PART_DIFFERS Part ${PARTS} of ${PARTS}, bytes ${PART * (PARTS - 1)} to ${SIZE - 1}, differs from what was sealed`,
  ]);
  expect(damaged.proof.proven[0]).toBe(
    `${PARTS - 2} of ${PARTS} parts of the archive were read and have their sealed SHA-256.`,
  );
});

test("what lies beside the archive is read too: seal, manifest, signatures", async () => {
  using at = await stored();
  mkdirSync(at.inVault(KEYS.signaturesPrefix));
  const codes = async () => (await verifyStored(at.question)).findings.map(({ code }) => code);
  writeFileSync(at.inVault(`${KEYS.signaturesPrefix}x.dsse.json`), "{}");
  expect(await codes()).toEqual(["SIGNATURE"]);
  flip(at.inVault(KEYS.manifest), 3);
  expect(await codes()).toEqual(["MANIFEST_JSON_DIGEST", "SIGNATURE"]);
  rmSync(at.inVault(KEYS.manifest));
  flip(at.inVault(KEYS.seal), 3);
  expect(await codes()).toEqual(["SEAL_DIFFERS", "MANIFEST_MISSING", "SIGNATURE"]);
  rmSync(at.inVault(KEYS.seal));
  expect(await codes()).toEqual(["SEAL_MISSING", "MANIFEST_MISSING", "SIGNATURE"]);
});

test("an archive that is cut off, longer or gone is said to be so", async () => {
  using at = await stored();
  const archive = at.inVault(KEYS.archive);
  writeFileSync(archive, Buffer.concat([archiveBytes(), Buffer.alloc(PART * 3)]));
  const longer = await verifyStored(at.question);
  expect(longer.findings.map(({ code }) => code)).toEqual(["ARCHIVE_SIZE", "PART_DIFFERS"]);
  writeFileSync(archive, archiveBytes());
  truncateSync(archive, PART * 2 + 10);
  const short = await verifyStored(at.question);
  expect(short.findings.map(({ code }) => code)).toEqual(["ARCHIVE_SIZE", "PART_DIFFERS"]);
  expect(short.findings[0]?.message).toContain(`Bytes ${PART * 2 + 10} to ${SIZE - 1} are gone`);
  rmSync(archive);
  const gone = await verifyStored(at.question);
  expect(gone).toMatchObject({
    verdict: "not valid",
    findings: [{ code: "ARCHIVE_SIZE", actual: "nothing" }],
  });
});

test("progress counts every byte once, also where a read had to be repeated, and can be stopped", async () => {
  using at = await stored();
  const reports: number[] = [];
  let broken = 0;
  const flaky = withMethod(
    vaultOf(at.path),
    "readRange",
    (original) => async (object, offset, size, consume, signal) => {
      if (object.key !== KEYS.archive || offset !== PART || broken++ > 0) {
        return original(object, offset, size, consume, signal);
      }
      await original(object, offset, size - 100, consume, signal);
      throw Object.assign(new Error("gone"), { code: "EIO" });
    },
  );
  let now = 0;
  const verdict = await verifyStored({
    ...at.question,
    vault: flaky,
    clock: { now: () => (now += 1000) },
    retry: { tries: 3, firstMs: 1, longestMs: 1, sleep: async () => undefined, random: () => 0 },
    onProgress: ({ done, total }) => {
      expect(total).toBe(SIZE);
      reports.push(done);
    },
  });
  expect(verdict.verdict).toBe("valid");
  expect(broken).toBeGreaterThan(1);
  expect(reports.at(-1)).toBe(SIZE);
  expect(Math.max(...reports)).toBe(SIZE);
  const stop = new AbortController();
  const stopped = verifyStored({
    ...at.question,
    clock: { now: () => (now += 1000) },
    signal: stop.signal,
    onProgress: () => stop.abort(),
  });
  expect(await failureOf(stopped)).toMatchObject({ code: "CANCELLED" });
});
