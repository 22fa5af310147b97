import { createHash } from "node:crypto";
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Fault } from "./fault.ts";
import { INTERNAL_ERROR, NO_SUCH_UPLOAD, SLOW_DOWN } from "./fault-catalogue.ts";
import { FaultProxy } from "./fault-proxy.ts";
import type { S3Store } from "./s3-store.ts";
import { freshBucket, testStore } from "./test-store.ts";

const BODY = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 251));

let store: S3Store;
let bucket: string;
let proxy: FaultProxy;
let client: S3Client;

beforeAll(async () => {
  store = testStore();
  bucket = await freshBucket();
});
beforeEach(async () => {
  proxy = await FaultProxy.open(store);
  client = store.clientFor(store.facts, proxy.endpoint);
});
afterEach(async () => {
  client.destroy();
  await proxy.close();
});

function put(Key: string, Body: Buffer = BODY) {
  const ContentLength = Body.length;
  return client.send(new PutObjectCommand({ Bucket: bucket, Key, Body, ContentLength }));
}

async function get(Key: string, Range?: string, from: S3Client = client) {
  const answer = await from.send(new GetObjectCommand({ Bucket: bucket, Key, ...(Range && { Range }) }));
  const body = Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
  return { body, contentRange: answer.ContentRange, status: answer.$metadata.httpStatusCode };
}

/** What the store holds, asked without the proxy. */
async function stored(key: string): Promise<Buffer | undefined> {
  try {
    return (await get(key, undefined, store.client)).body;
  } catch (error) {
    if (error instanceof Error && error.name === "NoSuchKey") return undefined;
    throw error;
  }
}

/** The name of the error that a request ends with. */
async function errorOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return error instanceof Error ? error.name : String(error);
  }
  throw new Error("the request did not fail");
}

/** Whether a request is still without an end after a while. */
async function hangs(work: (signal: AbortSignal) => Promise<unknown>): Promise<boolean> {
  const giveUp = new AbortController();
  const running = work(giveUp.signal).then(
    () => "ended",
    () => "failed",
  );
  const waited = new Promise<string>((resolve) => setTimeout(resolve, 1000, "waits"));
  const first = await Promise.race([running, waited]);
  giveUp.abort();
  await running;
  return first === "waits";
}

describe("without a rule", () => {
  test("requests pass unchanged under the client's own signature, and are remembered", async () => {
    await put("dir/plain ä+%");
    expect((await get("dir/plain ä+%")).body).toEqual(BODY);
    expect((await get("dir/plain ä+%", "bytes=10-19")).body).toEqual(BODY.subarray(10, 20));
    await client.send(new HeadObjectCommand({ Bucket: bucket, Key: "dir/plain ä+%" }));
    expect(await errorOf(get("none"))).toBe("NoSuchKey");
    const size = BODY.length;
    expect(proxy.exchanges).toMatchObject([
      {
        at: 1,
        operation: "put",
        key: "dir/plain ä+%",
        received: size,
        status: 200,
        storeStatus: 200,
        others: 0,
      },
      { at: 2, operation: "get", key: "dir/plain ä+%", received: 0, sent: size, status: 200 },
      { at: 3, operation: "get", range: "bytes=10-19", sent: 10, status: 206 },
      { at: 4, operation: "head", sent: 0, status: 200 },
      { at: 5, operation: "get", key: "none", status: 404, ended: true },
    ]);
  });

  test("the record holds no signature and no secret", async () => {
    await put("recorded");
    const record = JSON.stringify(proxy.exchanges);
    expect(record).toContain("x-amz-content-sha256");
    expect(record.toLowerCase()).not.toMatch(/authorization|signature|credential/);
    expect(record).not.toContain(store.facts.accessKeyId);
    expect(record).not.toContain(store.facts.secretAccessKey);
  });

  test("a wrong signature is refused by the store itself, whose answer is never lost", async () => {
    const stranger = store.clientFor({ ...store.facts, secretAccessKey: "wrong" }, proxy.endpoint);
    const Body = Buffer.alloc(16 * 2 ** 20);
    for (let time = 0; time < 5; time += 1) {
      const sent = stranger.send(new PutObjectCommand({ Bucket: bucket, Key: "stranger", Body }));
      expect(await errorOf(sent)).toBe("SignatureDoesNotMatch");
    }
    expect(await stored("stranger")).toBeUndefined();
  });

  test("knows the steps of a multipart upload", async () => {
    const object = { Bucket: bucket, Key: "multi" };
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(object));
    const upload = { ...object, UploadId };
    const part = await client.send(new UploadPartCommand({ ...upload, PartNumber: 1, Body: BODY }));
    await client.send(new ListPartsCommand(upload));
    const Parts = [{ PartNumber: 1, ETag: part.ETag }];
    await client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }));
    expect(await stored("multi")).toEqual(BODY);
    expect(proxy.exchanges).toMatchObject([
      { operation: "create-upload", key: "multi" },
      { operation: "upload-part", part: 1, received: BODY.length },
      { operation: "list-parts" },
      { operation: "complete-upload" },
    ]);
  });
});

describe("rules", () => {
  test("meet the nth of the requests they match, as often as they say", async () => {
    const rule = proxy.rule({
      operation: "put",
      key: /^counted/,
      nth: 2,
      times: 2,
      fault: { kind: "refuse", refusal: SLOW_DOWN },
    });
    await put("other");
    await put("counted-1");
    expect(await errorOf(put("counted-2"))).toBe("SlowDown");
    expect(await errorOf(put("counted-3"))).toBe("SlowDown");
    expect(rule.fired).toBe(2);
    await put("counted-4");
    proxy.rule({ fault: { kind: "refuse", refusal: SLOW_DOWN }, times: Number.POSITIVE_INFINITY });
    expect(await errorOf(put("counted-5"))).toBe("SlowDown");
    proxy.clearRules();
    await put("counted-6");
    expect(proxy.exchanges.map((entry) => entry.fault)).toEqual([
      ...[undefined, undefined, "refuse", "refuse", undefined, "refuse", undefined],
    ]);
  });

  test("can replace the object between two ranges", async () => {
    await put("replaced");
    const changed = Buffer.alloc(BODY.length, 7);
    proxy.rule({
      ranged: true,
      nth: 2,
      before: async () => {
        const object = { Bucket: bucket, Key: "replaced" };
        await store.client.send(new PutObjectCommand({ ...object, Body: changed }));
      },
    });
    expect((await get("replaced", "bytes=0-9")).body).toEqual(BODY.subarray(0, 10));
    expect((await get("replaced", "bytes=10-19")).body).toEqual(changed.subarray(10, 20));
  });

  test("a callback that fails breaks the request off and is thrown when the proxy is closed", async () => {
    const own = await FaultProxy.open(store);
    own.rule({
      before: () => {
        throw new Error("not so");
      },
    });
    await errorOf(get("any", undefined, store.clientFor(store.facts, own.endpoint)));
    expect(own.exchanges[0]?.trouble).toBe("not so");
    await expect(own.close()).rejects.toMatchObject({ errors: [new Error("not so")] });
  });

  test("the network can go and come back", async () => {
    await put("kept");
    await proxy.goOffline();
    await errorOf(get("kept"));
    expect(proxy.exchanges).toHaveLength(1);
    await proxy.goOnline();
    expect((await get("kept")).body).toEqual(BODY);
  });
});

describe("faults on the way up", () => {
  const notExecuted: [string, Fault, RegExp][] = [
    ["reset-before", { kind: "reset", when: "before-request" }, /./],
    ["reset-mid", { kind: "reset", when: "mid-request" }, /./],
    ["reset-after", { kind: "reset", when: "before-response" }, /./],
    ["refused", { kind: "refuse", refusal: INTERNAL_ERROR }, /^InternalError$/],
    ["refused-early", { kind: "refuse", refusal: SLOW_DOWN, early: true }, /./],
    ["no-upload", { kind: "refuse", refusal: NO_SUCH_UPLOAD }, /^NoSuchUpload$/],
    ["flipped", { kind: "flip-upload" }, /^XAmzContentSHA256Mismatch$/],
  ];
  test.each(notExecuted)("%s: fails and stores nothing", async (key, fault, error) => {
    proxy.rule({ fault });
    expect(await errorOf(put(key))).toMatch(error);
    expect(await stored(key)).toBeUndefined();
    await put(key);
    expect(await stored(key)).toEqual(BODY);
  });

  test("a reset in the middle happens after the bytes that were asked for", async () => {
    proxy.rule({ fault: { kind: "reset", when: "mid-request", afterBytes: 100_000 } });
    await errorOf(put("cut"));
    const received = proxy.exchanges[0]?.received ?? 0;
    expect(received).toBeGreaterThanOrEqual(100_000);
    expect(received).toBeLessThan(200_000);
    expect(proxy.exchanges[0]).toMatchObject({ storeStatus: undefined, status: undefined, ended: true });
  });

  const executed: [string, Fault, RegExp][] = [
    ["done-500", { kind: "refuse-after-success", refusal: INTERNAL_ERROR }, /^InternalError$/],
    ["done-dropped", { kind: "drop-reply" }, /./],
  ];
  test.each(executed)("%s: fails though the object is stored", async (key, fault, error) => {
    proxy.rule({ fault });
    expect(await errorOf(put(key))).toMatch(error);
    expect(await stored(key)).toEqual(BODY);
    expect(proxy.exchanges[0]?.storeStatus).toBe(200);
  });

  const silent: [string, Fault][] = [
    ["black-hole", { kind: "black-hole" }],
    ["stalled", { kind: "stall-upload", afterBytes: 1000 }],
    ["slow", { kind: "slow", direction: "up", bytesPerSecond: 10_000 }],
  ];
  test.each(silent)("%s: the request waits", async (key, fault) => {
    proxy.rule({ fault });
    const object = { Bucket: bucket, Key: key, Body: BODY, ContentLength: BODY.length };
    expect(await hangs((abortSignal) => client.send(new PutObjectCommand(object), { abortSignal }))).toBe(
      true,
    );
    expect(await stored(key)).toBeUndefined();
  });

  test("slow bodies arrive whole", async () => {
    proxy.rule({ fault: { kind: "slow", direction: "up", bytesPerSecond: 1_000_000 } });
    proxy.rule({ fault: { kind: "slow", direction: "down", bytesPerSecond: 1_000_000 } });
    await put("slowly");
    expect((await get("slowly")).body).toEqual(BODY);
  });

  test("Retry-After goes with the refusal", async () => {
    proxy.rule({ fault: { kind: "refuse", refusal: SLOW_DOWN } });
    const answer = await fetch(`${proxy.endpoint}/${bucket}/any`);
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(await answer.text()).toContain("<Code>SlowDown</Code>");
  });
});

describe("faults of a Complete", () => {
  const answers: [string, Fault, boolean][] = [
    ["error", { kind: "error-inside-200", refusal: INTERNAL_ERROR, executed: false }, false],
    ["error-done", { kind: "error-inside-200", refusal: INTERNAL_ERROR, executed: true }, true],
    ["empty", { kind: "empty-answer", executed: false }, false],
    ["empty-done", { kind: "empty-answer", executed: true }, true],
  ];
  test.each(answers)("%s: 200 is not success", async (Key, fault, done) => {
    const object = { Bucket: bucket, Key: `complete-${Key}` };
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(object));
    const upload = { ...object, UploadId };
    const { ETag } = await client.send(new UploadPartCommand({ ...upload, PartNumber: 1, Body: BODY }));
    proxy.rule({ operation: "complete-upload", fault });
    const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
    await errorOf(client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload })));
    expect(proxy.exchanges.at(-1)?.status).toBe(200);
    expect(await stored(object.Key)).toEqual(done ? BODY : undefined);
  });
});

describe("faults on the way down", () => {
  beforeAll(async () => {
    await store.client.send(new PutObjectCommand({ Bucket: bucket, Key: "held", Body: BODY }));
  });

  test("a flipped bit comes with the right length and status", async () => {
    proxy.rule({ fault: { kind: "flip-download", atByte: 5 } });
    const { body, status } = await get("held", "bytes=0-99");
    const wrong = Buffer.from(BODY.subarray(0, 100));
    wrong.writeUInt8(wrong.readUInt8(5) ^ 1, 5);
    expect([status, body]).toEqual([206, wrong]);
  });

  test("a range can be answered with the whole object, with another range or with a wrong Content-Range", async () => {
    const total = BODY.length;
    proxy.rule({ fault: { kind: "whole-for-range" } });
    const whole = await get("held", "bytes=10-19");
    expect([whole.status, whole.contentRange, whole.body]).toEqual([200, undefined, BODY]);
    proxy.rule({ fault: { kind: "other-range", shift: 5 } });
    const other = await get("held", "bytes=10-19");
    expect(other).toEqual({ status: 206, contentRange: `bytes 15-24/${total}`, body: BODY.subarray(15, 25) });
    proxy.rule({ fault: { kind: "wrong-content-range", shift: 5 } });
    const wrong = await get("held", "bytes=10-19");
    expect(wrong).toEqual({ status: 206, contentRange: `bytes 15-24/${total}`, body: BODY.subarray(10, 20) });
  });

  const cut: [string, Fault][] = [
    ["reset", { kind: "reset", when: "mid-response" }],
    ["cut short", { kind: "truncate", honest: false }],
  ];
  test.each(cut)("%s: the body breaks off after the headers", async (_name, fault) => {
    proxy.rule({ fault });
    const answer = await client.send(new GetObjectCommand({ Bucket: bucket, Key: "held" }));
    expect(answer.ContentLength).toBe(BODY.length);
    await errorOf(Promise.resolve(answer.Body?.transformToByteArray()));
    expect(proxy.exchanges[0]?.sent).toBe(BODY.length / 2);
  });

  test("a shorter body may be announced as such", async () => {
    proxy.rule({ fault: { kind: "truncate", honest: true, afterBytes: 7 } });
    expect((await get("held", "bytes=10-19")).body).toEqual(BODY.subarray(10, 17));
  });

  test("a stalled body stops after the bytes that were asked for", async () => {
    proxy.rule({ fault: { kind: "stall-download", afterBytes: 1000 } });
    const hung = await hangs(async (abortSignal) => {
      const answer = await client.send(new GetObjectCommand({ Bucket: bucket, Key: "held" }), {
        abortSignal,
      });
      await answer.Body?.transformToByteArray();
    });
    expect([hung, proxy.exchanges[0]?.sent]).toEqual([true, 1000]);
  });

  test("an answer can be rewritten", async () => {
    proxy.rule({
      operation: "get",
      fault: {
        kind: "rewrite",
        change: (answer) => {
          answer.headers.etag = '"made up"';
          answer.body = answer.body.subarray(0, 3);
        },
      },
    });
    const answer = await client.send(new GetObjectCommand({ Bucket: bucket, Key: "held" }));
    expect([answer.ETag, answer.ContentLength]).toEqual(['"made up"', 3]);
  });
});

test("large bodies pass in both directions", async () => {
  const large = Buffer.alloc(32 * 2 ** 20, BODY);
  await put("large", large);
  const { body } = await get("large");
  expect(createHash("sha256").update(body).digest("hex")).toBe(
    createHash("sha256").update(large).digest("hex"),
  );
  expect(proxy.exchanges).toMatchObject([{ received: large.length }, { sent: large.length }]);
});
