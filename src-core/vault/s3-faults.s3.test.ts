import { createHash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { faultsFor } from "../../e2e/support/fault-catalogue.ts";
import { FaultProxy } from "../../e2e/support/fault-proxy.ts";
import type { Operation } from "../../e2e/support/s3-call.ts";
import { freshBucket, testStore } from "../../e2e/support/test-store.ts";
import type { VaultHealth } from "../../src-contract/vault-api.ts";
import type { UploadRef, Vault } from "../ports.ts";
import { openTestVault, settingsFor } from "./s3-fixtures.ts";
import { MIN_PART_BYTES as PART, type S3Limits } from "./s3-settings.ts";
import { failureOf, memorySource } from "./vault-fixtures.ts";

type NamedFault = ReturnType<typeof faultsFor>[number];

/** Short, but longer than a busy store takes. */
const LIMITS: S3Limits = { connectMs: 5_000, stallMs: 2_000, answerMs: 3_000, completeMs: 3_000 };
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const bytes = randomBytes(PART + 1000);

/** What each fault comes out as when the call is not repeated. */
const CODES: Readonly<Record<string, string>> = {
  "400 ExpiredToken": "CREDENTIALS_REFUSED",
  "403 ExpiredToken": "CREDENTIALS_REFUSED",
  "403 SignatureDoesNotMatch": "CREDENTIALS_REFUSED",
  "403 RequestTimeTooSkewed": "CLOCK_SKEWED",
  "403 AccessDenied": "PERMISSION_MISSING",
  "404 NoSuchUpload": "OBJECT_CHANGED",
  "slow upload": "no failure",
  "slow download": "no failure",
  // The engine holds what came against the seal.
  "bit flipped on the way down": "no failure",
};
const REASONS: Readonly<Record<string, string>> = {
  "black hole": "stalled",
  "upload stalls": "stalled",
  "download stalls": "stalled",
  "503 SlowDown": "throttled",
  "bit flipped on the way up": "damaged on the way",
  "200 and the whole object": "odd answer",
  "another range, truly told": "odd answer",
  "wrong Content-Range": "odd answer",
};
const expectedOf = ({ name }: NamedFault) => CODES[name] ?? "VAULT_UNREACHABLE";

let proxy: FaultProxy;
let vault: Vault;
let known: VaultHealth;
let count = 0;

beforeAll(async () => {
  const bucket = await freshBucket();
  proxy = await FaultProxy.open(testStore());
  const settings = settingsFor(testStore(), bucket, { endpoint: proxy.endpoint });
  known = await openTestVault(testStore(), settings).health();
  vault = openTestVault(testStore(), settings, known, LIMITS);
});
afterAll(() => proxy.close());

async function upload(): Promise<{
  readonly upload: UploadRef;
  readonly send: (number: number) => ReturnType<Vault["putPart"]>;
}> {
  const key = `upload-${count++}`;
  const begun = await vault.beginUpload(key, bytes.length, PART);
  const send = (number: number) => {
    const [offset, size] = number === 1 ? [0, PART] : [PART, 1000];
    return vault.putPart(begun, {
      number,
      source: memorySource(bytes),
      offset,
      size,
      sha256: sha256(bytes.subarray(offset, offset + size)),
    });
  };
  return { upload: begun, send };
}

async function contentOf(key: string): Promise<Buffer> {
  const info = await vault.head(key);
  const content = Buffer.alloc(info?.size ?? 0);
  if (info !== null) await vault.getRange(info, 0, content);
  return content;
}

/** Runs `work` with one fault in its way, holds its end against what is expected, and leaves the way free again. */
async function under(
  operation: Operation | readonly Operation[],
  fault: NamedFault,
  work: () => Promise<unknown>,
  expected = expectedOf(fault),
) {
  const rule = proxy.rule({ operation, fault: fault.fault, times: 100 });
  const failure = await failureOf(work());
  proxy.clearRules();
  expect(rule.fired, "the fault was met").toBeGreaterThan(0);
  expect(failure.code, failure.message).toBe(expected);
  const reason = REASONS[fault.name];
  if (reason !== undefined && expected === "VAULT_UNREACHABLE") expect(failure.details?.reason).toBe(reason);
  if (fault.name === "503 SlowDown") expect(failure.details?.retryAfterMs).toBe(1000);
  const { accessKeyId, secretAccessKey } = testStore().facts;
  for (const secret of [accessKeyId, secretAccessKey, "Signature=", "Credential="]) {
    expect(JSON.stringify(failure)).not.toContain(secret);
  }
}

describe("a part", () => {
  test.each(faultsFor("upload-part"))("$name", async (fault) => {
    const { upload: begun, send } = await upload();
    // Whether the source or the way changed the bytes, whoever sends them finds out (transfer/send-object.ts).
    const expected = fault.name === "bit flipped on the way up" ? "DIGEST_MISMATCH" : expectedOf(fault);
    await under("upload-part", fault, () => send(1), expected);
    const parts = [await send(1), await send(2)];
    expect(await vault.listParts(begun)).toEqual(parts);
    await vault.completeUpload(begun, parts);
    expect((await contentOf(begun.key)).equals(bytes)).toBe(true);
  });
});

describe("a range", () => {
  test.each(faultsFor("get"))("$name", async (fault) => {
    const key = `range-${count++}`;
    const object = await vault.put(key, bytes);
    const consumed: Buffer[] = [];
    const read = () =>
      vault.readRange(object, 7, PART, async (at, piece) => {
        expect(at).toBe(Buffer.concat(consumed).length);
        consumed.push(Buffer.from(piece));
      });
    const same = () =>
      Buffer.concat(consumed).equals(
        bytes.subarray(7, 7 + consumed.reduce((sum, one) => sum + one.length, 0)),
      );
    await under("get", fault, read);
    if (fault.name !== "bit flipped on the way down")
      expect(same(), "what was handed on is right").toBe(true);
    consumed.length = 0;
    await read();
    expect(same()).toBe(true);
  });
});

describe("a small object", () => {
  test.each(faultsFor("put"))("$name", async (fault) => {
    const key = `small-${count++}`;
    await under("put", fault, () => vault.put(key, bytes));
    const stored = await vault.put(key, bytes);
    expect(stored).toMatchObject({ key, size: bytes.length });
    expect((await contentOf(key)).equals(bytes)).toBe(true);
    expect((await failureOf(vault.put(key, randomBytes(bytes.length)))).code).toBe("OBJECT_CONFLICT");
  });
});

describe("beginning an upload", () => {
  test.each(faultsFor("create-upload"))("$name", async (fault) => {
    await under("create-upload", fault, upload);
  });
});

describe("what is stored under a key", () => {
  test.each(faultsFor("head"))("$name", async (fault) => {
    const key = `head-${count++}`;
    const stored = await vault.put(key, bytes);
    await under(["head", "get"], fault, () => vault.head(key));
    expect(await vault.head(key)).toMatchObject(stored);
    await under(["head", "get"], fault, () => vault.head("nothing"));
    expect(await vault.head("nothing")).toBeNull();
  });
});

describe("the parts of an upload", () => {
  test.each(faultsFor("list-parts"))("$name", async (fault) => {
    const { upload: begun, send } = await upload();
    const part = await send(1);
    await under("list-parts", fault, () => vault.listParts(begun));
    expect(await vault.listParts(begun)).toEqual([part]);
  });
});

describe("completing an upload", () => {
  /** The object is there all the same: looking at it is enough. */
  const THERE = new Set([
    "500 after success",
    "reply dropped after success",
    "error inside 200 after success",
    "empty answer after success",
  ]);
  /** The upload is there still, whatever was said. */
  const STILL_THERE = new Set(["404 NoSuchUpload"]);
  test.each(faultsFor("complete-upload"))("$name", async (fault) => {
    const { upload: begun, send } = await upload();
    const parts = [await send(2), await send(1)];
    const expected = THERE.has(fault.name)
      ? "no failure"
      : STILL_THERE.has(fault.name)
        ? "VAULT_UNREACHABLE"
        : expectedOf(fault);
    await under("complete-upload", fault, () => vault.completeUpload(begun, parts), expected);
    const stored = await vault.completeUpload(begun, parts);
    expect(stored).toMatchObject({ key: begun.key, size: bytes.length });
    expect((await contentOf(begun.key)).equals(bytes)).toBe(true);
    expect((await failureOf(vault.listParts(begun))).code).toBe("OBJECT_CHANGED");
  });
});

describe("looking after completing", () => {
  test.each(faultsFor("head"))("$name", async (fault) => {
    const { upload: begun, send } = await upload();
    const parts = [await send(1), await send(2)];
    await under(["head", "get"], fault, () => vault.completeUpload(begun, parts));
    expect((await vault.completeUpload(begun, parts)).size).toBe(bytes.length);
    expect((await contentOf(begun.key)).equals(bytes)).toBe(true);
  });
});
