import { PutObjectCommand } from "@aws-sdk/client-s3";
import { expect, test } from "vitest";
import { testStore } from "../../e2e/support/test-store.ts";
import type { Request } from "../../src-contract/vault-api.ts";
import { TestKeychain } from "../credentials/keychain-fixtures.ts";
import { failureIn, valueIn } from "../testing/workroom.ts";
import { adminOrSkip, keyInEnv, ownKey, storeRoom } from "./store-room-fixtures.ts";
import { MARKER_KEY } from "./vault-marker.ts";

const at = storeRoom();
const NO_KEY = { accessKeyId: undefined, secretAccessKey: undefined };

test("settings and health are kept in the ledger, the secret in the keychain alone, and the bucket is marked", async () => {
  const vault = await at.reopened();
  const added = valueIn(await vault.vaultAddS3(at.request({ prefix: "audits/2026" })));
  expect(added).toEqual({
    name: "lake",
    kind: "s3",
    location: `s3://${at.bucket}/audits/2026 at ${at.proxy.endpoint}`,
    credentials: `keychain (${ownKey().accessKeyId})`,
  });
  expect(valueIn(await vault.vaultList({}))).toEqual([added]);
  expect([await at.objects(), await at.secrets()]).toEqual([[`audits/2026/${MARKER_KEY}`], 1]);
  at.expectNoSecret(at.room.home, ownKey().secretAccessKey);
  expect(valueIn(await (await at.reopened()).vaultHealth({ name: "lake" })).fit).toBe(true);
});

test("the marker that another device has written is taken over, and each device has its own secret", async () => {
  valueIn(await (await at.reopened()).vaultAddS3(at.request()));
  const before = await at.objects();
  const other = await at.elsewhere("other");
  valueIn(await other.vaultAddS3(at.request()));
  expect([await at.objects(), await at.secrets()]).toEqual([before, 2]);
  valueIn(await other.vaultSetCredentials({ name: "lake", ...ownKey() }));
  expect(await at.secrets()).toBe(2);
  for (const vault of [await at.reopened(), await at.elsewhere("other")]) {
    expect(valueIn(await vault.vaultHealth({ name: "lake" })).fit).toBe(true);
  }
});

test.each<readonly [string, string, Partial<Request<"vaultAddS3">>]>([
  ["a bucket that is not there", "BUCKET_NOT_FOUND", { bucket: "strongroom-test-none" }],
  ["a wrong secret", "CREDENTIALS_REFUSED", { secretAccessKey: "wrong".repeat(8) }],
  ["an unknown key", "CREDENTIALS_REFUSED", { accessKeyId: "NOBODY" }],
  ["a store that is not there", "VAULT_UNREACHABLE", { endpoint: "http://127.0.0.1:1" }],
  ["credentials that are not there", "CREDENTIALS_MISSING", { ...NO_KEY, credentials: "env" }],
  ["no credentials", "INVALID_INPUT", NO_KEY],
  ["a key without a secret", "INVALID_INPUT", { secretAccessKey: undefined }],
  ["a key and a reference", "INVALID_INPUT", { credentials: "env" }],
  ["a secret with a line break", "INVALID_INPUT", { secretAccessKey: "secret\n" }],
])("%s is refused with %s and leaves nothing behind", async (_, code, more) => {
  const vault = await at.reopened();
  const failure = failureIn(await vault.vaultAddS3(at.request(more)));
  expect(failure.code).toBe(code);
  expect(failure.nextStep).not.toContain("set-credentials lake");
  expect([valueIn(await vault.vaultList({})), await at.objects(), await at.secrets()]).toEqual([[], [], 0]);
  expect(JSON.stringify(failure)).not.toContain(ownKey().secretAccessKey);
});

test.each<readonly [string, Partial<Request<"vaultAddS3">>, RegExp]>([
  [
    "does not encrypt as asked",
    { encryption: "AES256" },
    /encryption: --encryption AES256 was asked for.*plain text/,
  ],
  [
    "has not the KMS key",
    { encryption: "aws:kms", kmsKey: "k1" },
    /without --encryption aws:kms --kms-key k1 the store takes/,
  ],
  [
    "has not the storage class",
    { storageClass: "GLACIER" },
    /without --storage-class GLACIER the store takes/,
  ],
])("a store that %s is refused, and why is told", async (_, more, message) => {
  const vault = await at.reopened();
  const failure = failureIn(await vault.vaultAddS3(at.request(more)));
  expect(failure).toMatchObject({ code: "VAULT_UNFIT", message: expect.stringMatching(message) });
  expect([valueIn(await vault.vaultList({})), await at.objects(), await at.secrets()]).toEqual([[], [], 0]);
});

test("where no credentials are given, both ways are named", async () => {
  const { nextStep } = failureIn(await (await at.reopened()).vaultAddS3(at.request(NO_KEY)));
  for (const way of ["--access-key-id", "--credentials env", "--credentials profile:NAME"])
    expect(nextStep).toContain(way);
});

test("credentials that may do nothing are refused with the permission that is missing", async ({ skip }) => {
  const { uid: _, ...keys } = await at.userWith(adminOrSkip(skip), "s3:GetBucketLocation");
  const failure = failureIn(await (await at.reopened()).vaultAddS3(at.request(keys)));
  expect(failure.code).toBe("PERMISSION_MISSING");
  expect(failure.message).toMatch(/s3:(GetObject|ListBucket)/);
  expect([await at.objects(), await at.secrets()]).toEqual([[], 0]);
});

test("credentials that may only read are enough, with a warning", async ({ skip }) => {
  const { uid: _, ...reader } = await at.userWith(adminOrSkip(skip), "s3:GetObject", "s3:ListBucket");
  const vault = await at.reopened();
  const outcome = await vault.vaultAddS3(at.request(reader));
  valueIn(outcome);
  expect(outcome.ok && outcome.warnings?.map(({ message }) => message)).toEqual([
    expect.stringMatching(/writable: .*s3:PutObject is missing/),
  ]);
  expect(await at.objects()).toEqual([]);
  expect(valueIn(await (await at.reopened()).vaultHealth({ name: "lake" })).fit).toBe(true);
  // Whoever may write marks it when their turn comes; from then on it is held against that.
  valueIn(await vault.vaultSetCredentials({ name: "lake", ...ownKey() }));
  expect(await at.objects()).toEqual([MARKER_KEY]);
  await testStore().client.send(new PutObjectCommand({ Bucket: at.bucket, Key: MARKER_KEY, Body: "{}" }));
  expect(failureIn(await (await at.reopened()).vaultHealth({ name: "lake" })).code).toBe("VAULT_UNFIT");
});

test("without a keychain nothing is added, not even to the bucket; a reference needs none", async () => {
  const none = await TestKeychain.start("none");
  try {
    const vault = await at.reopened({ env: keyInEnv(none.env) });
    expect(failureIn(await vault.vaultAddS3(at.request())).code).toBe("KEYCHAIN_UNAVAILABLE");
    expect([valueIn(await vault.vaultList({})), await at.objects()]).toEqual([[], []]);
    const added = valueIn(await vault.vaultAddS3(at.request({ ...NO_KEY, credentials: "env" })));
    expect(added.credentials).toBe("environment");
    at.expectNoSecret(at.room.home, ownKey().secretAccessKey);
  } finally {
    await none.stop();
  }
});

test("a name or a bucket that is taken is refused before anything is asked of the store", async () => {
  const vault = await at.reopened();
  valueIn(await vault.vaultAddS3(at.request()));
  at.proxy.forget();
  expect(failureIn(await vault.vaultAddS3(at.request({ prefix: "other" })))).toMatchObject({
    code: "VAULT_EXISTS",
    subject: "lake",
  });
  expect(failureIn(await vault.vaultAddS3(at.request({ name: "again" })))).toMatchObject({
    code: "VAULT_EXISTS",
    message: expect.stringContaining("as vault lake"),
  });
  expect(at.proxy.exchanges).toEqual([]);
  valueIn(await vault.vaultAddS3(at.request({ name: "below", prefix: "other" })));
});

test.each<readonly [string, Partial<Request<"vaultAddS3">>]>([
  ["one name", { prefix: "other" }],
  ["one bucket", { name: "other" }],
])("of two that add %s at once one is refused, and only one secret is kept", async (_, more) => {
  const [one, two] = [await at.reopened(), await at.reopened()];
  const outcomes = await Promise.all([one.vaultAddS3(at.request()), two.vaultAddS3(at.request(more))]);
  expect(outcomes.filter(({ ok }) => ok)).toHaveLength(1);
  expect(outcomes.find(({ ok }) => !ok)).toMatchObject({ failure: { code: "VAULT_EXISTS" } });
  expect(await at.secrets()).toBe(1);
  const [only] = valueIn(await one.vaultList({}));
  expect(valueIn(await (await at.reopened()).vaultHealth({ name: only?.name ?? "" })).fit).toBe(true);
});
