import { GetObjectCommand, PutBucketVersioningCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import Database from "better-sqlite3";
import { beforeEach, describe, expect, test } from "vitest";
import { testStore } from "../../e2e/support/test-store.ts";
import { TestKeychain } from "../credentials/keychain-fixtures.ts";
import type { OpenedVault } from "../open-vault.ts";
import { failureIn, valueIn, Workroom } from "../testing/workroom.ts";
import { adminOrSkip, keyInEnv, ownKey, storeRoom } from "./store-room-fixtures.ts";
import { MARKER_KEY } from "./vault-marker.ts";

const at = storeRoom();
beforeEach(async () => {
  valueIn(await (await at.reopened()).vaultAddS3(at.request()));
  at.proxy.forget();
});

const health = (vault: OpenedVault) => vault.vaultHealth({ name: "lake" });
const isFit = async (vault: OpenedVault) => valueIn(await health(vault)).fit;

async function emptyBucket(): Promise<void> {
  await testStore().removeBucket(at.bucket);
  await testStore().createBucket(at.bucket);
}

describe("opening", () => {
  test("looks at the marker once per process, with one request", async () => {
    const vault = await at.reopened();
    valueIn(await vault.engagementSetVault({ id: Workroom.ENGAGEMENT, vault: "lake" }));
    for (let i = 0; i < 3; i++) {
      const pulled = await vault.packagePull({ package: "0197f3a2", to: at.room.path("to") });
      expect(failureIn(pulled).code).toBe("PACKAGE_NOT_FOUND");
    }
    const ofMarker = at.proxy.exchanges.filter(({ key }) => key === MARKER_KEY);
    expect(ofMarker.map(({ operation }) => operation)).toEqual(["head"]);
  });

  test("a bucket that was emptied, or is another one, is not taken for the vault", async () => {
    const put = (Body: string) =>
      testStore().client.send(new PutObjectCommand({ Bucket: at.bucket, Key: MARKER_KEY, Body }));
    const { Body } = await testStore().client.send(
      new GetObjectCommand({ Bucket: at.bucket, Key: MARKER_KEY }),
    );
    // Copied by a program that drops what lies beside the bytes.
    await put((await Body?.transformToString()) ?? "");
    expect(await isFit(await at.reopened())).toBe(true);
    await put(JSON.stringify({ format: "strongroom-vault/1", id: "01938c7e-7b3a-7000-8000-000000000001" }));
    expect(failureIn(await health(await at.reopened()))).toMatchObject({
      code: "VAULT_UNREACHABLE",
      message: expect.stringContaining("holds another vault than lake"),
    });
    await emptyBucket();
    expect(failureIn(await health(await at.reopened()))).toMatchObject({
      code: "VAULT_UNREACHABLE",
      message: expect.stringContaining("vault lake is not in it"),
    });
  });

  test("offline is told as such, and the next try in the same process looks anew", async () => {
    const vault = await at.reopened();
    await at.proxy.goOffline();
    try {
      expect(failureIn(await health(vault)).code).toBe("VAULT_UNREACHABLE");
    } finally {
      await at.proxy.goOnline();
    }
    expect(await isFit(vault)).toBe(true);
  });

  test("a probe is kept: what the bucket has learnt since is known from then on", async () => {
    const vault = await at.reopened();
    const versioning = async () =>
      valueIn(await health(vault)).probes.find(({ name }) => name === "versioning")?.result;
    expect(await versioning()).toBe("limited");
    const VersioningConfiguration = { Status: "Enabled" as const };
    await testStore().client.send(
      new PutBucketVersioningCommand({ Bucket: at.bucket, VersioningConfiguration }),
    );
    expect(await versioning()).toBe("ok");
    const ledger = new Database(at.room.path("home", "ledger.db"), { readonly: true });
    const kept = String(ledger.prepare("SELECT health FROM vaults").pluck().get());
    ledger.close();
    expect(JSON.parse(kept).probes).toContainEqual(
      expect.objectContaining({ name: "versioning", result: "ok" }),
    );
  });

  test("a run can be told to take other credentials, and keeps none of them", async () => {
    const none = await TestKeychain.start("none");
    try {
      const env = keyInEnv(none.env);
      expect(failureIn(await health(await at.reopened({ env }))).code).toBe("KEYCHAIN_UNAVAILABLE");
      const told = await at.reopened({ env, credentials: "env" });
      expect(await isFit(told)).toBe(true);
      expect(valueIn(await told.vaultList({}))[0]?.credentials).toBe(`keychain (${ownKey().accessKeyId})`);
      const missing = await at.reopened({ credentials: "profile:no-such" });
      expect(failureIn(await health(missing)).code).toBe("CREDENTIALS_MISSING");
    } finally {
      await none.stop();
    }
  });
});

describe("new credentials", () => {
  test("that the store refuses leave the old ones", async () => {
    const vault = await at.reopened();
    const wrong = { accessKeyId: "NOBODY", secretAccessKey: "wrong" };
    expect(failureIn(await vault.vaultSetCredentials({ name: "lake", ...wrong }))).toMatchObject({
      code: "CREDENTIALS_REFUSED",
      nextStep: expect.stringContaining("Nothing was changed"),
    });
    expect(await at.secrets()).toBe(1);
    expect(await isFit(await at.reopened())).toBe(true);
  });

  test("replace the old ones, in a process that has the vault open too", async ({ skip }) => {
    const admin = adminOrSkip(skip);
    const open = await at.reopened();
    expect(await isFit(open)).toBe(true);
    const keys = await at.userWith(admin, "s3:*");
    const { accessKeyId, secretAccessKey } = keys;
    const again = await at.reopened();
    const changed = valueIn(await again.vaultSetCredentials({ name: "lake", accessKeyId, secretAccessKey }));
    expect([changed.credentials, await at.secrets()]).toEqual([`keychain (${keys.accessKeyId})`, 1]);
    // It is open with the old key, and takes the new one that is refused by now.
    await admin.suspendUser(keys.uid);
    expect(failureIn(await health(open)).code).toBe("CREDENTIALS_REFUSED");
    await admin.enableUser(keys.uid);
    expect(await isFit(open)).toBe(true);
    at.expectNoSecret(at.room.home, keys.secretAccessKey, ownKey().secretAccessKey);
  });

  test("by reference take the secret out of the keychain", async () => {
    const env = keyInEnv(at.keychain.env);
    const vault = await at.reopened({ env });
    const changed = valueIn(await vault.vaultSetCredentials({ name: "lake", credentials: "env" }));
    expect([changed.credentials, await at.secrets()]).toEqual(["environment", 0]);
    expect(await isFit(await at.reopened({ env }))).toBe(true);
    expect(failureIn(await health(await at.reopened())).code).toBe("CREDENTIALS_MISSING");
  });

  test("are not for another bucket, nor for a folder", async () => {
    const vault = await at.reopened();
    await emptyBucket();
    expect(failureIn(await vault.vaultSetCredentials({ name: "lake", ...ownKey() })).code).toBe(
      "VAULT_UNREACHABLE",
    );
    expect(await at.secrets()).toBe(1);
    await at.room.addVault();
    const set = (name: string) => vault.vaultSetCredentials({ name, credentials: "env" });
    expect(failureIn(await set("stick")).code).toBe("INVALID_INPUT");
    expect(failureIn(await set("none")).code).toBe("VAULT_NOT_FOUND");
  });

  test("are asked for after a restore where the keychain does not hold the old ones", async () => {
    const { folder } = valueIn(await (await at.reopened()).backup({ to: at.room.path("backup") }));
    at.expectNoSecret(folder, ownKey().secretAccessKey);
    const here = await at.elsewhere("same-device");
    const restored = await here.restore({ from: folder });
    expect(restored.ok && restored.warnings).toBeUndefined();
    expect(await isFit(here)).toBe(true);
    const another = await TestKeychain.start();
    try {
      const there = await at.elsewhere("other-device", { env: another.env });
      const outcome = await there.restore({ from: folder });
      expect(outcome.ok && outcome.warnings).toMatchObject([
        {
          code: "CREDENTIALS_MISSING",
          subject: "lake",
          nextStep: expect.stringContaining("vault set-credentials lake"),
        },
      ]);
      expect(failureIn(await health(there)).code).toBe("CREDENTIALS_MISSING");
      valueIn(await there.vaultSetCredentials({ name: "lake", ...ownKey() }));
      expect(await isFit(there)).toBe(true);
    } finally {
      await another.stop();
    }
  });
});
