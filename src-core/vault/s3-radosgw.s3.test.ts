import { createHash, randomBytes } from "node:crypto";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import { freshBucket, testStore } from "../../e2e/support/test-store.ts";
import type { StoredPart, Vault } from "../ports.ts";
import { openTestVault, settingsFor } from "./s3-fixtures.ts";
import { MIN_PART_BYTES as PART } from "./s3-settings.ts";
import { collect, failureOf, memorySource } from "./vault-fixtures.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

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
