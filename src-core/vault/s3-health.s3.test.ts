import { randomBytes } from "node:crypto";
import {
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  PutBucketPolicyCommand,
  PutObjectLockConfigurationCommand,
  PutPublicAccessBlockCommand,
} from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import type { StoreKeys } from "../../e2e/support/store-facts.ts";
import { freshBucket, testStore } from "../../e2e/support/test-store.ts";
import type { HealthProbe, VaultHealth } from "../../src-contract/vault-api.ts";
import { StoreCredentials } from "../credentials/store-credentials.ts";
import { openTestVault, settingsFor } from "./s3-fixtures.ts";
import { createS3Vault } from "./s3-vault.ts";
import { collect, failureOf } from "./vault-fixtures.ts";

const probe = (health: VaultHealth, name: HealthProbe["name"]) =>
  health.probes.find((one) => one.name === name);
const results = (health: VaultHealth) =>
  Object.fromEntries(health.probes.map(({ name, result }) => [name, result]));

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

  test("that locks every object, to one who may not pass over a lock, tells what stays", async ({ skip }) => {
    const { admin, client } = testStore();
    if (admin === undefined) return skip("needs a radosgw of our own");
    const uid = `writer-${randomBytes(4).toString("hex")}`;
    const keys = await admin.createUser(uid);
    const bucket = await freshBucket({ objectLock: true });
    const DefaultRetention = { Mode: "GOVERNANCE", Days: 30 } as const;
    const ObjectLockConfiguration = { ObjectLockEnabled: "Enabled", Rule: { DefaultRetention } } as const;
    await client.send(new PutObjectLockConfigurationCommand({ Bucket: bucket, ObjectLockConfiguration }));
    const who = { Effect: "Allow", Principal: { AWS: [`arn:aws:iam:::user/${uid}`] } };
    const Resource = [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`];
    const allowed = { ...who, Action: ["s3:*"], Resource };
    const denied = { ...who, Effect: "Deny", Action: ["s3:BypassGovernanceRetention"], Resource };
    const Policy = JSON.stringify({ Version: "2012-10-17", Statement: [allowed, denied] });
    await client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }));
    const vault = withKeys(bucket, keys);
    const health = await vault.health();
    expect(results(health)).toMatchObject({ writable: "ok", delete: "ok", "object lock": "ok" });
    expect(probe(health, "delete")?.detail).toContain(".strongroom-probe-");
    expect(probe(health, "delete")?.detail).toContain("s3:BypassGovernanceRetention is missing");
    expect(probe(health, "delete")?.detail).toContain("stays in the bucket");
    expect(await collect(vault.list(""))).toEqual([]);
  });

  test("that blocks public access says that radosgw may then refuse every write", async () => {
    const bucket = await freshBucket();
    const block = {
      BlockPublicAcls: true,
      IgnorePublicAcls: true,
      BlockPublicPolicy: true,
      RestrictPublicBuckets: true,
    };
    const PublicAccessBlockConfiguration = block;
    await testStore().client.send(
      new PutPublicAccessBlockCommand({ Bucket: bucket, PublicAccessBlockConfiguration }),
    );
    const health = await openTestVault(testStore(), settingsFor(testStore(), bucket)).health();
    expect(results(health)).toMatchObject({ "public access": "ok", writable: "limited" });
    expect(probe(health, "writable")?.detail).toContain("while public access is blocked");
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
