import { createHash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { faultsFor } from "../../e2e/support/fault-catalogue.ts";
import { FaultProxy } from "../../e2e/support/fault-proxy.ts";
import type { Operation } from "../../e2e/support/s3-call.ts";
import { freshBucket, testStore } from "../../e2e/support/test-store.ts";
import { FailureError } from "../failing.ts";
import type { StreamedObject, Vault } from "../ports.ts";
import { retrying } from "../transfer/retry.ts";
import { openTestVault, settingsFor } from "./s3-fixtures.ts";
import type { S3Limits } from "./s3-settings.ts";
import { collect } from "./vault-fixtures.ts";

/** Short, but longer than a busy store takes. */
const LIMITS: S3Limits = { connectMs: 5_000, stallMs: 2_000, answerMs: 3_000, completeMs: 3_000 };
const policy = { tries: 4, firstMs: 1, longestMs: 1, sleep: async () => undefined, random: () => 0 };
const again = <T>(work: () => Promise<T>) => retrying(policy, undefined, work);
const bytes = randomBytes(17 * 1024 * 1024);
const sha256 = createHash("sha256").update(bytes).digest("hex");

/** Every request that storing a stream of two parts makes. `temporary`: of the key under which it comes in. */
const STEPS: readonly {
  readonly step: string;
  readonly operation: Operation;
  readonly temporary: boolean;
}[] = [
  { step: "look whether the key is taken", operation: "head", temporary: false },
  { step: "begin", operation: "create-upload", temporary: true },
  { step: "a part", operation: "upload-part", temporary: true },
  { step: "complete", operation: "complete-upload", temporary: true },
  { step: "look at what came", operation: "head", temporary: true },
  { step: "begin the copy", operation: "create-upload", temporary: false },
  { step: "copy a part", operation: "upload-part", temporary: false },
  { step: "complete the copy", operation: "complete-upload", temporary: false },
  { step: "remove what came in", operation: "delete", temporary: true },
];
/** Waiting for a stall takes seconds, and one refusal ends a step as another: one step shows them all. */
const ONCE = /black hole|stalls|slow upload|ExpiredToken|Skewed|SignatureDoesNotMatch/;

let proxy: FaultProxy;
let vault: Vault;
let direct: Vault;
let count = 0;

beforeAll(async () => {
  const bucket = await freshBucket();
  proxy = await FaultProxy.open(testStore());
  const known = await openTestVault(testStore(), settingsFor(testStore(), bucket)).health();
  const settings = settingsFor(testStore(), bucket, { endpoint: proxy.endpoint });
  vault = openTestVault(testStore(), settings, known, LIMITS);
  direct = openTestVault(testStore(), settingsFor(testStore(), bucket), known);
});
afterAll(() => proxy.close());

async function* stream(): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
}

describe.each(STEPS)("$step", ({ operation, temporary, step }) => {
  const faults = faultsFor(operation).filter(({ name }) => !ONCE.test(name) || step === "a part");
  test.each(faults)("$name", async (fault) => {
    const folder = `c/${count++}/`;
    const key = `${folder}x.bin`;
    const rule = proxy.rule({ operation, key: temporary ? /\.incoming-/ : /x\.bin$/, fault: fault.fault });
    let streamed: StreamedObject | null = null;
    try {
      streamed = await vault.putStream(key, stream(), { again });
    } catch (error) {
      expect(error).toBeInstanceOf(FailureError);
      expect((error as FailureError).failure.code).not.toBe("INTERNAL");
      expect((error as FailureError).failure.code).not.toBe("OBJECT_CONFLICT");
    }
    proxy.clearRules();
    expect(rule.fired, "the fault was met").toBe(1);
    const stored = await direct.head(key);
    if (streamed === null) {
      expect(stored).toBeNull();
    } else {
      expect(streamed).toMatchObject({ sha256, bytes: bytes.length });
      expect(stored).toMatchObject({ size: bytes.length, metadata: { sha256 } });
      const read = createHash("sha256");
      if (stored !== null)
        await direct.readRange(stored, 0, stored.size, async (_at, piece) => void read.update(piece));
      expect(read.digest("hex")).toBe(sha256);
    }
    // What could not be removed is told.
    const left = (await collect(direct.list(folder))).filter((object) => object.key !== key);
    expect(left.length).toBeLessThanOrEqual(streamed?.leftUndone.length ?? 0);
    const uploads = (await collect(direct.listUploads(folder))).length;
    // The answer to a beginning can be lost; only `transfers orphans` finds what it began.
    const lost = operation === "create-upload" && /after success|before the answer/.test(fault.name);
    if (!lost) expect(uploads).toBe(0);
  });
});
