import { createHash, randomBytes } from "node:crypto";
import {
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
  PutObjectLockConfigurationCommand,
} from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import type { StoreKeys } from "../../e2e/support/store-facts.ts";
import { freshBucket, testStore } from "../../e2e/support/test-store.ts";
import type { HealthProbe, VaultHealth } from "../../src-contract/vault-api.ts";
import { StoreCredentials } from "../credentials/store-credentials.ts";
import type { StoredPart, Vault } from "../ports.ts";
import { openTestVault, settingsFor } from "./s3-fixtures.ts";
import { MIN_PART_BYTES as PART } from "./s3-settings.ts";
import { createS3Vault } from "./s3-vault.ts";
import { collect, failureOf, memorySource } from "./vault-fixtures.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const probe = (health: VaultHealth, name: HealthProbe["name"]) =>
  health.probes.find((one) => one.name === name);
const results = (health: VaultHealth) =>
  Object.fromEntries(health.probes.map(({ name, result }) => [name, result]));

async function sent(vault: Vault, key: string, bytes: Buffer) {
  const upload = await vault.beginUpload(key, bytes.length, PART);
  const parts: StoredPart[] = [];
  for (let number = 1; (number - 1) * PART < bytes.length; number++) {
    const offset = (number - 1) * PART;
    const size = Math.min(PART, bytes.length - offset);
    const digest = sha256(bytes.subarray(offset, offset + size));
    parts.push(
      await vault.putPart(upload, { number, source: memorySource(bytes), offset, size, sha256: digest }),
    );
  }
  return { upload, parts };
}

/** Everything that the bucket holds, with old versions and unfinished uploads. */
async function leftIn(bucket: string): Promise<unknown[]> {
  const { client } = testStore();
  const versions = await client.send(new ListObjectVersionsCommand({ Bucket: bucket }));
  const uploads = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
  return [...(versions.Versions ?? []), ...(versions.DeleteMarkers ?? []), ...(uploads.Uploads ?? [])];
}

const withKeys = (bucket: string, keys: StoreKeys, more = {}) =>
  createS3Vault(
    { ...settingsFor(testStore(), bucket), ...more },
    async () => new StoreCredentials(keys),
    null,
  );

describe("the health of a bucket", () => {
  test("of radosgw is told truly, and nothing is left in it", async () => {
    const bucket = await freshBucket();
    const health = await openTestVault(
      testStore(),
      settingsFor(testStore(), bucket, { prefix: "a/b" }),
    ).health();
    expect(health).toMatchObject({ fit: true, freeBytes: null, maxFileBytes: null, caseSensitive: true });
    expect(results(health)).toEqual({
      reachable: "ok",
      writable: "ok",
      "digest on write": "ok",
      "create only": "ok",
      "create only, multipart": "limited",
      checksums: "limited",
      etag: "ok",
      delete: "ok",
      versioning: "limited",
      "object lock": "limited",
      "public access": "limited",
    });
    for (const { detail } of health.probes) expect(detail).toMatch(/^[^\s].*[^.\s]$/);
    expect(await leftIn(bucket)).toEqual([]);
  });

  test("with versions leaves no version behind", async () => {
    const bucket = await freshBucket({ versioning: true });
    const health = await openTestVault(testStore(), settingsFor(testStore(), bucket)).health();
    expect(results(health)).toMatchObject({ writable: "ok", delete: "ok", versioning: "ok" });
    expect(await leftIn(bucket)).toEqual([]);
  });

  test("that locks every object leaves nothing behind where the lock may be passed over", async () => {
    const bucket = await freshBucket({ objectLock: true });
    const DefaultRetention = { Mode: "GOVERNANCE", Days: 30 } as const;
    const ObjectLockConfiguration = { ObjectLockEnabled: "Enabled", Rule: { DefaultRetention } } as const;
    await testStore().client.send(
      new PutObjectLockConfigurationCommand({ Bucket: bucket, ObjectLockConfiguration }),
    );
    const health = await openTestVault(testStore(), settingsFor(testStore(), bucket)).health();
    expect(results(health)).toMatchObject({ writable: "ok", delete: "ok", "object lock": "ok" });
    expect(probe(health, "object lock")?.detail).toContain("30 days");
    expect(await leftIn(bucket)).toEqual([]);
  });

  test("that is not there, or with keys that are not known, is data", async () => {
    const store = testStore();
    const gone = await openTestVault(store, settingsFor(store, "strongroom-no-such-bucket")).health();
    expect(gone).toMatchObject({ fit: false, probes: [{ name: "reachable", result: "failed" }] });
    expect(probe(gone, "reachable")?.detail).toContain("strongroom-no-such-bucket");
    const bucket = await freshBucket();
    const strangers = withKeys(bucket, { ...store.facts, secretAccessKey: "wrong" });
    expect(await strangers.health()).toMatchObject({ fit: false });
    expect((await failureOf(strangers.head("x"))).code).toBe("CREDENTIALS_REFUSED");
    const nobody = withKeys(bucket, { accessKeyId: "NOBODYNOBODYNOBODYXX", secretAccessKey: "wrong" });
    expect((await failureOf(nobody.put("x", Buffer.from("x")))).code).toBe("CREDENTIALS_REFUSED");
  });

  test("that may only be read is fit to be read", async ({ skip }) => {
    const { admin, client } = testStore();
    if (admin === undefined) return skip("needs a radosgw of our own");
    const uid = `reader-${randomBytes(4).toString("hex")}`;
    const keys = await admin.createUser(uid);
    const bucket = await freshBucket();
    const allow = (Action: string[], ...Resource: string[]) => ({
      Effect: "Allow",
      Principal: { AWS: [`arn:aws:iam:::user/${uid}`] },
      Action,
      Resource,
    });
    const policy = (...Statement: object[]) =>
      client.send(
        new PutBucketPolicyCommand({
          Bucket: bucket,
          Policy: JSON.stringify({ Version: "2012-10-17", Statement }),
        }),
      );
    const [all, objects] = [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`];
    await policy(allow(["s3:ListBucket"], all), allow(["s3:GetObject"], objects));
    const owner = openTestVault(testStore(), settingsFor(testStore(), bucket));
    const bytes = randomBytes(1000);
    await owner.put("x", bytes);

    const reader = withKeys(bucket, keys);
    const health = await reader.health();
    expect(health.fit).toBe(true);
    expect(results(health)).toMatchObject({
      reachable: "ok",
      writable: "limited",
      "create only": "unknown",
      etag: "unknown",
    });
    expect(probe(health, "writable")?.detail).toContain("s3:PutObject");
    const found = await reader.head("x");
    const target = new Uint8Array(1000);
    await reader.getRange(found ?? { key: "", size: 0, version: "" }, 0, target);
    expect(Buffer.from(target).equals(bytes)).toBe(true);
    expect(await reader.head("y")).toBeNull();
    const refused = await failureOf(reader.put("y", bytes));
    expect(refused).toMatchObject({ code: "PERMISSION_MISSING", details: { permission: "s3:PutObject" } });
    expect(refused.nextStep).toContain(`s3:PutObject on ${objects}`);
    expect((await failureOf(reader.delete("x"))).details?.permission).toBe("s3:DeleteObject");
    expect((await failureOf(reader.beginUpload("y", 10, 10))).details?.permission).toBe("s3:PutObject");

    await policy(allow(["s3:GetObject"], objects));
    const blind = withKeys(bucket, keys);
    expect((await blind.health()).fit).toBe(true);
    expect((await failureOf(collect(blind.list("")))).details?.permission).toBe("s3:ListBucket");
    await blind.getRange((await blind.head("x")) ?? { key: "", size: 0, version: "" }, 0, target);

    await policy(allow(["s3:ListBucket"], all));
    expect((await failureOf(withKeys(bucket, keys).head("x"))).details?.permission).toBe("s3:GetObject");
    await admin.suspendUser(uid);
    expect((await failureOf(withKeys(bucket, keys).head("x"))).code).toBe("CREDENTIALS_REFUSED");
  });
});

describe("a bucket with versions", () => {
  test("gives the version that was stored, whoever replaces it", async () => {
    const bucket = await freshBucket({ versioning: true });
    const vault = openTestVault(testStore(), settingsFor(testStore(), bucket));
    const bytes = randomBytes(5000);
    const stored = await vault.put("x", bytes);
    expect(stored.versionId).toMatch(/./);
    expect(await vault.head("x")).toMatchObject({ versionId: stored.versionId, version: stored.version });
    await testStore().client.send(
      new PutObjectCommand({ Bucket: bucket, Key: "x", Body: randomBytes(5000) }),
    );
    const target = new Uint8Array(5000);
    await vault.getRange(stored, 0, target);
    expect(Buffer.from(target).equals(bytes)).toBe(true);
    const { versionId: _other, ...unversioned } = stored;
    expect((await failureOf(vault.getRange(unversioned, 0, target))).code).toBe("OBJECT_CHANGED");
    await vault.delete("x");
    expect(await vault.head("x")).toBeNull();
    expect(await collect(vault.list(""))).toEqual([]);
    await vault.getRange(stored, 0, target);
    const { upload, parts } = await sent(vault, "y", bytes);
    expect((await vault.completeUpload(upload, parts)).versionId).toMatch(/./);
  });
});

describe("completing", () => {
  const bytes = randomBytes(PART + 100);
  const open = async () => {
    const settings = settingsFor(testStore(), await freshBucket());
    return openTestVault(testStore(), settings, await openTestVault(testStore(), settings).health());
  };

  test("again is a success, and by several at once too", async () => {
    const vault = await open();
    const { upload, parts } = await sent(vault, "x", bytes);
    const ends = await Promise.all(
      Array.from({ length: 4 }, () => failureOf(vault.completeUpload(upload, parts))),
    );
    for (const { code } of ends) expect(["no failure", "VAULT_UNREACHABLE"]).toContain(code);
    expect(ends.some(({ code }) => code === "no failure")).toBe(true);
    const stored = await vault.completeUpload(upload, parts);
    expect(
      vault.attest(stored, { partSize: PART, digests: [], tags: parts.map(({ tag }) => tag) }),
    ).toMatchObject({ matches: true });
  });

  test("what another device completed with the same bytes is a success, and leaves no upload", async () => {
    const vault = await open();
    const [one, other] = [await sent(vault, "x", bytes), await sent(vault, "x", bytes)];
    const first = await vault.completeUpload(one.upload, one.parts);
    expect(await vault.completeUpload(other.upload, other.parts)).toEqual(first);
    expect(await collect(vault.listUploads(""))).toEqual([]);
  });

  test("over another object is refused, and that object stays", async () => {
    const vault = await open();
    const { upload, parts } = await sent(vault, "x", bytes);
    const other = await vault.put("x", randomBytes(bytes.length));
    expect((await failureOf(vault.completeUpload(upload, parts))).code).toBe("OBJECT_CONFLICT");
    expect(await vault.head("x")).toMatchObject(other);
  });

  test("a dropped upload, or with a part that the store does not have, never makes an object", async () => {
    const vault = await open();
    const { upload, parts } = await sent(vault, "x", bytes);
    const forged = parts.map((part) => ({ ...part, tag: "0".repeat(32) }));
    expect((await failureOf(vault.completeUpload(upload, forged))).code).toBe("OBJECT_CHANGED");
    expect(await vault.listParts(upload)).toEqual(parts);
    await vault.abortUpload(upload);
    expect((await failureOf(vault.completeUpload(upload, parts))).code).toBe("OBJECT_CHANGED");
    expect(await vault.head("x")).toBeNull();
  });

  test("plans that S3 would not take are refused before anything is sent", async () => {
    const vault = await open();
    for (const [size, partSize] of [
      [0, PART],
      [PART * 2, PART - 1],
      [PART * 10_001, PART],
      [6 * 1024 ** 3, 6 * 1024 ** 3],
    ] as const) {
      expect((await failureOf(vault.beginUpload("x", size, partSize))).code, `${size}/${partSize}`).toBe(
        "VAULT_UNFIT",
      );
    }
    expect((await failureOf(vault.requireRoom(60 * 1024 ** 4, 1))).code).toBe("VAULT_UNFIT");
  });
});

describe("more than a page", () => {
  test("of objects and of parts is listed whole, in order", async () => {
    const bucket = await freshBucket();
    const vault = openTestVault(testStore(), settingsFor(testStore(), bucket, { prefix: "p" }));
    const names = Array.from({ length: 1003 }, (_, i) => `n${String(i).padStart(5, "0")}`);
    const queue = names.values();
    const store = async () => {
      for (const name of queue) {
        await testStore().client.send(new PutObjectCommand({ Bucket: bucket, Key: `p/${name}`, Body: "x" }));
      }
    };
    await Promise.all(Array.from({ length: 8 }, store));
    expect((await collect(vault.list(""))).map(({ key }) => key)).toEqual(names);

    const begun = await vault.beginUpload("many", PART * 1003, PART);
    // Smaller than S3 takes when it is completed, which this one is not.
    const upload = { ...begun, size: 1003, partSize: 1 };
    const numbers = names.keys();
    const send = async () => {
      for (const index of numbers) {
        await vault.putPart(upload, {
          number: index + 1,
          source: memorySource(Buffer.from("x")),
          offset: 0,
          size: 1,
          sha256: null,
        });
      }
    };
    await Promise.all(Array.from({ length: 8 }, send));
    expect((await vault.listParts(upload)).map(({ number }) => number)).toEqual(names.map((_, i) => i + 1));
  });
});
