import { createHash, randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { VaultHealth } from "../../src-contract/vault-api.ts";
import { StoreCredentials } from "../credentials/store-credentials.ts";
import type { StoredPart, Vault } from "../ports.ts";
import { AmazonLike } from "./amazon-like-fixtures.ts";
import { type FakeStore, fakeStore } from "./fake-store-fixtures.ts";
import { MIN_PART_BYTES as PART } from "./s3-settings.ts";
import { createS3Vault } from "./s3-vault.ts";
import type { Deviations } from "./store-deviations-fixtures.ts";
import { describeVault } from "./vault-contract-fixtures.ts";
import { failureOf, memorySource } from "./vault-fixtures.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const credentials = async () => new StoreCredentials({ accessKeyId: "AKID", secretAccessKey: "secret" });
const results = (health: VaultHealth) =>
  Object.fromEntries(health.probes.map(({ name, result }) => [name, result]));

interface Place extends AsyncDisposable {
  readonly amazon: AmazonLike;
  readonly store: FakeStore;
  readonly health: VaultHealth;
  readonly vault: Vault;
  readonly open: () => Vault;
}

/** A probed vault in a store of its own. */
async function place(deviations: Deviations = {}): Promise<Place> {
  const amazon = new AmazonLike(deviations);
  const store = await fakeStore((request, response) => amazon.answer(request, response));
  const health = await store.vault.health();
  const open = () => createS3Vault(store.settings, credentials, health);
  return {
    amazon,
    store,
    health,
    vault: open(),
    open,
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

describeVault("a vault in a store like Amazon's", PART, async () => {
  const { amazon, vault, open, ...rest } = await place();
  return {
    vault,
    again: open,
    replace: async (key, bytes) => {
      amazon.objects.set(key, { bytes: Buffer.from(bytes), etag: sha256(bytes), sha256: null });
    },
    [Symbol.asyncDispose]: rest[Symbol.asyncDispose],
  };
});

async function sent(vault: Vault, bytes: Buffer) {
  const upload = await vault.beginUpload("x", bytes.length, PART);
  const parts: StoredPart[] = [];
  const digests: string[] = [];
  for (let number = 1; (number - 1) * PART < bytes.length; number++) {
    const offset = (number - 1) * PART;
    const size = Math.min(PART, bytes.length - offset);
    digests.push(sha256(bytes.subarray(offset, offset + size)));
    const digest = digests.at(-1) ?? null;
    parts.push(
      await vault.putPart(upload, { number, source: memorySource(bytes), offset, size, sha256: digest }),
    );
  }
  return { upload, parts, expected: { partSize: PART, digests, tags: parts.map(({ tag }) => tag) } };
}

describe("a store that keeps checksums", () => {
  test("is known by its probes", async () => {
    await using at = await place();
    expect(results(at.health)).toMatchObject({
      writable: "ok",
      "digest on write": "ok",
      "create only": "ok",
      "create only, multipart": "ok",
      checksums: "ok",
      etag: "ok",
      delete: "ok",
      "public access": "ok",
    });
    expect([...at.amazon.objects.keys()]).toEqual([]);
  });

  test("is given them, lists them, and attests an object by them in one request", async () => {
    await using at = await place();
    const bytes = randomBytes(PART * 2 + 5);
    const { upload, parts, expected } = await sent(at.vault, bytes);
    expect(parts[0]?.tag).toMatch(/^[0-9a-f]{32} \S{43}=$/);
    expect(await at.vault.listParts(upload)).toEqual(parts);
    const stored = await at.vault.completeUpload(upload, parts);
    expect(at.vault.attest(stored, { ...expected, tags: null })).toMatchObject({
      method: "sha256 kept by the store",
      matches: true,
    });
    const other = { ...expected, digests: [...expected.digests.slice(1), expected.digests[0] ?? ""] };
    expect(at.vault.attest(stored, other)).toMatchObject({ matches: false });
    await at.vault.put("small", Buffer.from("small"));
    const small = await at.vault.head("small");
    const digests = [sha256(Buffer.from("small"))];
    expect(at.vault.attest(small ?? stored, { partSize: PART, digests, tags: null })).toMatchObject({
      matches: true,
    });
  });

  test("is not asked beforehand what it refuses by itself", async () => {
    await using at = await place();
    at.amazon.asked.length = 0;
    await at.vault.put("small", Buffer.from("small"));
    expect(at.amazon.asked.map(({ name }) => name)).toEqual(["PUT object"]);
    const { upload, parts } = await sent(at.vault, randomBytes(10));
    at.amazon.asked.length = 0;
    await at.vault.completeUpload(upload, parts);
    expect(at.amazon.asked.map(({ name }) => name)).toEqual(["POST upload", "HEAD object"]);
  });
});

describe("a store that ignores", () => {
  test("digests is never sent the end of other bytes", async () => {
    await using at = await place({ ignoresDigests: true, ignoresChecksums: true });
    expect(results(at.health)).toMatchObject({ "digest on write": "limited", checksums: "limited" });
    const bytes = randomBytes(PART * 2);
    const { upload, parts } = await sent(at.vault, bytes);
    const body = { number: 1, offset: 0, size: PART, sha256: sha256(bytes.subarray(0, PART)) };
    const changed = {
      ...body,
      source: memorySource(
        Buffer.concat([bytes.subarray(0, PART - 1), Buffer.of((bytes[PART - 1] ?? 0) ^ 1)]),
      ),
    };
    const failure = await failureOf(at.vault.putPart(upload, changed));
    expect(failure).toMatchObject({ code: "DIGEST_MISMATCH", details: { part: 1, expected: body.sha256 } });
    expect(await at.vault.listParts(upload)).toEqual(parts);
  });

  test.each([
    ["of all", { ignoresDigests: true }],
    ["of parts", { ignoresDigestsOfParts: true }],
  ])("digests %s is not believed by its ETags, which may be of damaged bytes", async (_, deviations) => {
    await using at = await place({ ...deviations, ignoresChecksums: true });
    expect(results(at.health)).toMatchObject({ "digest on write": "limited", etag: "ok" });
    const { upload, parts, expected } = await sent(at.vault, randomBytes(PART + 1));
    const stored = await at.vault.completeUpload(upload, parts);
    expect(at.vault.attest(stored, expected)).toBeNull();
    expect([...at.amazon.objects.keys()]).toEqual(["x"]);
  });

  test("If-None-Match is looked at first", async () => {
    await using at = await place({ ignoresIfNoneMatch: true });
    expect(results(at.health)).toMatchObject({
      "create only": "limited",
      "create only, multipart": "limited",
    });
    await at.vault.put("x", Buffer.from("first"));
    expect((await failureOf(at.vault.put("x", Buffer.from("other")))).code).toBe("OBJECT_CONFLICT");
    const { upload, parts } = await sent(at.vault, randomBytes(10));
    expect((await failureOf(at.vault.completeUpload(upload, parts))).code).toBe("OBJECT_CONFLICT");
    expect(at.amazon.objects.get("x")?.bytes.toString()).toBe("first");
  });

  test("MD5 in its ETags is not believed by them", async () => {
    await using at = await place({ opaqueEtags: true, ignoresChecksums: true });
    expect(results(at.health)).toMatchObject({ etag: "limited" });
    const { upload, parts, expected } = await sent(at.vault, randomBytes(PART + 1));
    const stored = await at.vault.completeUpload(upload, parts);
    expect(at.vault.attest(stored, expected)).toBeNull();
  });
});

test("a store that wants an MD5 is given one from the second body on", async () => {
  await using at = await place({ wantsMd5: true, ignoresChecksums: true });
  expect(results(at.health)).toMatchObject({ writable: "ok", checksums: "limited" });
  const { upload, parts } = await sent(at.vault, randomBytes(PART * 2 + 1));
  expect((await at.vault.completeUpload(upload, parts)).size).toBe(PART * 2 + 1);
  await at.vault.put("small", Buffer.from("small"));
  const puts = at.amazon.asked.filter(({ name }) => name === "PUT object").slice(-1);
  expect(puts[0]?.headers["content-md5"]).toMatch(/==$/);
});

describe("a store that refuses If-None-Match", () => {
  const conditions = ({ amazon }: Place) =>
    amazon.asked.filter(({ headers }) => headers["if-none-match"] !== undefined);

  test("is known by it, is looked at first, and is not sent it again", async () => {
    await using at = await place({ refusesIfNoneMatch: true });
    for (const name of ["create only", "create only, multipart"]) {
      expect(at.health.probes.find((probe) => probe.name === name)).toMatchObject({
        result: "limited",
        detail: expect.stringContaining("refuses If-None-Match (NotImplemented)"),
      });
    }
    at.amazon.asked.length = 0;
    await at.vault.put("small", Buffer.from("first"));
    expect((await failureOf(at.vault.put("small", Buffer.from("other")))).code).toBe("OBJECT_CONFLICT");
    const { upload, parts } = await sent(at.vault, randomBytes(PART + 1));
    expect((await at.vault.completeUpload(upload, parts)).size).toBe(PART + 1);
    const late = await sent(at.vault, randomBytes(PART + 1));
    expect((await failureOf(at.vault.completeUpload(late.upload, late.parts))).code).toBe("OBJECT_CONFLICT");
    expect(at.amazon.objects.get("small")?.bytes.toString()).toBe("first");
    expect(conditions(at)).toEqual([]);
  });

  test("can be written to before anything is known of it", async () => {
    await using at = await place({ refusesIfNoneMatch: true });
    const vault = createS3Vault(at.store.settings, credentials, null);
    await vault.put("small", Buffer.from("first"));
    expect((await failureOf(vault.put("small", Buffer.from("other")))).code).toBe("OBJECT_CONFLICT");
    const { upload, parts } = await sent(vault, randomBytes(10));
    expect((await vault.completeUpload(upload, parts)).size).toBe(10);
    vault.close();
  });
});
