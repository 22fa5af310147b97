import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CopyObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FaultProxy } from "../../e2e/support/fault-proxy.ts";
import { freshBucket, testStore } from "../../e2e/support/test-store.ts";
import type { VerificationReport } from "../../src-contract/findings.ts";
import type { VaultHealth } from "../../src-contract/vault-api.ts";
import { openDatabase } from "../catalog/database.ts";
import { ledgerMigrations } from "../catalog/ledger-migrations/index.ts";
import { openVault } from "../open-vault.ts";
import { failureIn, valueIn, Workroom } from "../testing/workroom.ts";

const MIB = 1024 * 1024;
let proxy: FaultProxy;
beforeAll(async () => {
  proxy = await FaultProxy.open(testStore());
});
afterAll(() => proxy.close());

/** A package of two parts that this device has stored in a bucket, reached over the proxy. */
async function storedPackage(options: { readonly versioning?: boolean } = {}) {
  const bucket = await freshBucket(options);
  const room = await Workroom.open();
  const { accessKeyId, secretAccessKey } = testStore().facts;
  const env = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
  const open = async (home: string) => {
    const vault = valueIn(await openVault({ home, env }));
    const { endpoint } = proxy;
    valueIn(await vault.vaultAddS3({ name: "lake", bucket, endpoint, credentials: "env" }));
    return vault;
  };
  const vault = await open(room.home);
  valueIn(await vault.engagementSetVault({ id: Workroom.ENGAGEMENT, vault: "lake" }));
  room.write("ev/a.bin", randomBytes(12 * MIB));
  room.write("ev/b.bin", randomBytes(12 * MIB));
  const built = valueIn(
    await vault.packageBuild({ engagement: Workroom.ENGAGEMENT, sources: [room.path("ev")], name: "site-a" }),
  );
  const { id, archiveSize } = built.package ?? { id: "", archiveSize: 0 };
  valueIn(await vault.packagePush({ package: id }));
  const key = `engagements/${Workroom.ENGAGEMENT}/packages/${id}/site-a.tar`;
  const archive = readFileSync(join(room.home, "packages", id, "site-a.tar"));
  proxy.forget();
  return {
    ...{ room, vault, bucket, id, key, archive, archiveSize },
    verify: async (full: boolean): Promise<VerificationReport> =>
      valueIn(await vault.verify({ target: id, remote: true, full })),
    /** Another device that knows only the engagement and the bucket. */
    async elsewhere() {
      const other = await open(room.path("other"));
      valueIn(await other.engagementCreate({ id: Workroom.ENGAGEMENT, vault: "lake" }));
      return other;
    },
    replace: (Body: Uint8Array) =>
      testStore().client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body })),
    async [Symbol.asyncDispose]() {
      proxy.clearRules();
      await vault.close();
      await room.close();
    },
  };
}

/** Operations on packages, in the order in which they were asked for. */
function asked(): string[] {
  return proxy.exchanges
    .filter(({ key }) => key.startsWith("engagements/"))
    .map(({ operation, key }) => `${operation} ${key.slice(key.lastIndexOf("/") + 1)}`);
}

test("one request attests what this device stored: size and ETag are those that it remembers", async () => {
  await using place = await storedPackage();
  const report = await place.verify(false);
  expect(asked()).toEqual(["head site-a.tar"]);
  expect(report).toMatchObject({ verdict: "attested", proof: { basis: "recorded version" } });
  expect(report.proof?.proven[0]).toMatch(/^Size and ETag are those recorded when it was stored on/);
});

/** From now on the device takes its store for one that was seen to check and keep SHA-256; radosgw does not. */
function knowsOfChecksums(home: string): void {
  const ledger = openDatabase(join(home, "ledger.db"), ledgerMigrations, true);
  const { health } = ledger.prepare<[], { health: string }>("SELECT health FROM vaults").get() ?? {
    health: "",
  };
  const known = JSON.parse(health) as VaultHealth;
  const probes = known.probes.map((probe) =>
    probe.name === "checksums" ? { ...probe, result: "ok" } : probe,
  );
  ledger.prepare("UPDATE vaults SET health = ?").run(JSON.stringify({ ...known, probes }));
  ledger.close();
}

test("one request attests it by SHA-256 where the store keeps that and was seen to check it", async () => {
  await using place = await storedPackage();
  const { archive } = place;
  const parts = [archive.subarray(0, 16 * MIB), archive.subarray(16 * MIB)];
  const digests = parts.map((part) => createHash("sha256").update(part).digest());
  const composite = createHash("sha256").update(Buffer.concat(digests)).digest("base64");
  const keeps = (sha256: string) =>
    proxy.rule({
      operation: "head",
      key: /site-a\.tar$/,
      fault: {
        kind: "rewrite",
        change: (answer) => {
          answer.headers["x-amz-checksum-sha256"] = sha256;
          // The proxy tells the length of the body that a HEAD has not.
          answer.body = Buffer.alloc(place.archiveSize);
        },
      },
    });
  keeps(`${composite}-2`);
  expect(await place.verify(false)).toMatchObject({ proof: { basis: "recorded version" } });
  proxy.forget();
  knowsOfChecksums(place.room.home);
  keeps(`${composite}-2`);
  const attested = await place.verify(false);
  expect(asked()).toEqual(["head site-a.tar"]);
  expect(attested).toMatchObject({
    verdict: "attested",
    proof: { basis: "sha256 kept by the store" },
  });
  expect(attested.proof?.proven).toEqual([
    "The store's own SHA-256 of all 2 parts equals the seal's: no byte was read by this device.",
  ]);
  keeps(createHash("sha256").update(archive).digest("base64"));
  expect((await place.verify(false)).verdict).toBe("attested");
  keeps(`${createHash("sha256").update("other").digest("base64")}-2`);
  expect(await place.verify(false)).toMatchObject({
    verdict: "not verified",
    findings: [{ code: "STORE_DIGEST_DIFFERS" }],
  });
});

test("an object that was replaced by one of its size is never attested; reading names the part and its files", async () => {
  await using place = await storedPackage();
  const changed = Buffer.from(place.archive);
  changed[20 * MIB] = (changed[20 * MIB] ?? 0) ^ 1;
  await place.replace(changed);
  expect(await place.verify(false)).toMatchObject({
    verdict: "not verified",
    findings: [{ code: "RECORD_DIFFERS" }],
  });
  const full = await place.verify(true);
  expect(full.verdict).toBe("not valid");
  expect(full.findings).toMatchObject([{ code: "PART_DIFFERS", files: ["data/ev/b.bin"] }]);
  expect(full.findings[0]?.message).toContain(`Part 2 of 2, bytes ${16 * MIB} to ${place.archiveSize - 1}`);
  await place.replace(place.archive);
  expect((await place.verify(true)).verdict).toBe("valid");
  expect((await place.verify(false)).proof?.proven[0]).toContain("this device read every byte of it");
});

test("a device that knows only the bucket attests by the record in it", async () => {
  await using place = await storedPackage();
  const other = await place.elsewhere();
  const report = valueIn(await other.verify({ target: place.id, remote: true }));
  expect(report.verdict).toBe("attested");
  expect(report.proof?.notProven.join(" ")).toContain("whoever can replace the archive can replace it");
  await other.close();
});

test("in a bucket that keeps versions another version is told, also of the same bytes", async () => {
  await using place = await storedPackage({ versioning: true });
  expect((await place.verify(false)).proof?.proven[0]).toMatch(/^Size, ETag and version id/);
  await testStore().client.send(
    new CopyObjectCommand({
      Bucket: place.bucket,
      Key: place.key,
      CopySource: `${place.bucket}/${place.key}`,
      MetadataDirective: "REPLACE",
    }),
  );
  const again = await place.verify(false);
  expect(again).toMatchObject({ verdict: "not verified", findings: [{ code: "RECORD_DIFFERS" }] });
  expect((await place.verify(true)).verdict).toBe("valid");
});

test("what the way does to bytes is not held against the archive; one that is replaced while it is read is no verdict", async () => {
  await using place = await storedPackage();
  const archive = { operation: "get", key: /site-a\.tar$/ } as const;
  proxy.rule({ ...archive, fault: { kind: "flip-download" } });
  proxy.rule({ ...archive, fault: { kind: "reset", when: "mid-response" } });
  proxy.rule({ ...archive, fault: { kind: "refuse", refusal: { status: 503, code: "SlowDown" } } });
  expect((await place.verify(true)).verdict).toBe("valid");
  proxy.rule({
    ...archive,
    nth: 2,
    before: async () => void (await place.replace(randomBytes(place.archiveSize))),
  });
  const outcome = await place.vault.verify({ target: place.id, remote: true, full: true });
  expect(failureIn(outcome).code).toBe("OBJECT_CHANGED");
});
