import { expect, test } from "vitest";
import type { HealthProbe, VaultHealth } from "../../src-contract/vault-api.ts";
import { AmazonLike } from "./amazon-like-fixtures.ts";
import { fakeStore } from "./fake-store-fixtures.ts";
import type { S3Settings } from "./s3-settings.ts";
import type { Deviations } from "./store-deviations-fixtures.ts";

async function healthOf(
  settings: Partial<S3Settings>,
  deviations: Deviations = {},
): Promise<{ readonly health: VaultHealth; readonly left: readonly string[] }> {
  const amazon = new AmazonLike(deviations);
  await using store = await fakeStore((request, response) => amazon.answer(request, response), { settings });
  return { health: await store.vault.health(), left: [...amazon.objects.keys()] };
}

function probe({ probes }: VaultHealth, name: HealthProbe["name"]): HealthProbe | undefined {
  return probes.find((one) => one.name === name);
}

const AES: Partial<S3Settings> = { encryption: "AES256" };
const ARN = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd";
const kms = (kmsKey: string | null): Partial<S3Settings> => ({ encryption: "aws:kms", kmsKey });

test.each<readonly [string, Partial<S3Settings>, Deviations]>([
  ["AES256", AES, {}],
  ["the store's own KMS key", kms(null), { kmsKey: ARN }],
  ["a KMS key", kms(ARN), {}],
  ["a KMS key by its id", kms("1234abcd"), { kmsKey: ARN }],
  ["a KMS key by an alias", kms("alias/evidence"), { kmsKey: ARN }],
])("a store that encrypts with %s as asked is fit", async (_, settings, deviations) => {
  const { health, left } = await healthOf(settings, deviations);
  expect([health.fit, probe(health, "encryption")?.result, left]).toEqual([true, "ok", []]);
});

test.each<readonly [string, Partial<S3Settings>, Deviations, RegExp]>([
  ["keeps plain text", AES, { encryption: "ignored" }, /--encryption AES256 was asked for.*plain text/],
  [
    "keeps plain text of uploads in parts",
    AES,
    { encryption: "ignored for parts" },
    /AES256 .*takes an upload in parts without a word/,
  ],
  ["takes another key", kms(ARN), { kmsKey: `${ARN}9` }, /--kms-key arn:.*1234abcd was asked for.*1234abcd9/],
  [
    "refuses to encrypt",
    AES,
    { encryption: "refused" },
    /Server Side Encryption is not configured; without --encryption AES256 the store takes the same object/,
  ],
])("a store that %s is not fit, and why is told", async (_, settings, deviations, detail) => {
  const { health, left } = await healthOf(settings, deviations);
  expect([health.fit, left]).toEqual([false, []]);
  expect(probe(health, "encryption")).toMatchObject({
    result: "failed",
    detail: expect.stringMatching(detail),
  });
});

test.each(["GLACIER", "DEEP_ARCHIVE"])(
  "a class whose objects must be thawed, %s, is not fit",
  async (storageClass) => {
    const { health, left } = await healthOf({ storageClass });
    expect([health.fit, left]).toEqual([false, []]);
    expect(probe(health, "storage class")).toMatchObject({
      result: "failed",
      detail: expect.stringMatching(new RegExp(`${storageClass} cannot be read at once`)),
    });
  },
);

test.each(["STANDARD", "STANDARD_IA"])(
  "a class whose objects can be read at once, %s, is fit",
  async (storageClass) => {
    const { health } = await healthOf({ storageClass });
    expect([health.fit, probe(health, "storage class")?.result]).toEqual([true, "ok"]);
  },
);

test("of two settings, the one that the store refuses is named", async () => {
  const { health } = await healthOf({ ...AES, storageClass: "STANDARD_IA" }, { encryption: "refused" });
  expect(probe(health, "encryption")?.result).toBe("failed");
  expect(probe(health, "storage class")?.result).toBe("unknown");
});

test("what is not asked for is not tried", async () => {
  const { health } = await healthOf({});
  expect([probe(health, "encryption"), probe(health, "storage class")]).toEqual([undefined, undefined]);
});
