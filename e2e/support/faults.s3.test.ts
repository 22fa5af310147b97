import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { beforeEach, describe, expect, test } from "vitest";
import type { Fault } from "./fault.ts";
import { INTERNAL_ERROR, NO_SUCH_UPLOAD, SLOW_DOWN } from "./fault-catalogue.ts";
import { BODY, errorOf, get, put, stored, useProxyDesk } from "./proxy-desk-fixtures.ts";

const at = useProxyDesk();

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
    at.proxy.rule({ fault });
    expect(await errorOf(put(at, key))).toMatch(error);
    expect(await stored(at, key)).toBeUndefined();
    await put(at, key);
    expect(await stored(at, key)).toEqual(BODY);
  });

  test("a reset in the middle happens after the bytes that were asked for", async () => {
    at.proxy.rule({ fault: { kind: "reset", when: "mid-request", afterBytes: 100_000 } });
    await errorOf(put(at, "cut"));
    const received = at.proxy.exchanges[0]?.received ?? 0;
    expect(received).toBeGreaterThanOrEqual(100_000);
    expect(received).toBeLessThan(200_000);
    expect(at.proxy.exchanges[0]).toMatchObject({ storeStatus: undefined, status: undefined, ended: true });
  });

  const executed: [string, Fault, RegExp][] = [
    ["done-500", { kind: "refuse-after-success", refusal: INTERNAL_ERROR }, /^InternalError$/],
    ["done-dropped", { kind: "drop-reply" }, /./],
  ];
  test.each(executed)("%s: fails though the object is stored", async (key, fault, error) => {
    at.proxy.rule({ fault });
    expect(await errorOf(put(at, key))).toMatch(error);
    expect(await stored(at, key)).toEqual(BODY);
    expect(at.proxy.exchanges[0]?.storeStatus).toBe(200);
  });

  const silent: [string, Fault][] = [
    ["black-hole", { kind: "black-hole" }],
    ["stalled", { kind: "stall-upload", afterBytes: 1000 }],
    ["slow", { kind: "slow", direction: "up", bytesPerSecond: 10_000 }],
  ];
  test.each(silent)("%s: the request waits", async (key, fault) => {
    at.proxy.rule({ fault });
    const object = { Bucket: at.bucket, Key: key, Body: BODY, ContentLength: BODY.length };
    expect(await hangs((abortSignal) => at.client.send(new PutObjectCommand(object), { abortSignal }))).toBe(
      true,
    );
    expect(await stored(at, key)).toBeUndefined();
  });

  test("slow bodies arrive whole", async () => {
    at.proxy.rule({ fault: { kind: "slow", direction: "up", bytesPerSecond: 1_000_000 } });
    at.proxy.rule({ fault: { kind: "slow", direction: "down", bytesPerSecond: 1_000_000 } });
    await put(at, "slowly");
    expect((await get(at, "slowly")).body).toEqual(BODY);
  });

  test("Retry-After goes with the refusal", async () => {
    at.proxy.rule({ fault: { kind: "refuse", refusal: SLOW_DOWN } });
    const answer = await fetch(`${at.proxy.endpoint}/${at.bucket}/any`);
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
    const object = { Bucket: at.bucket, Key: `complete-${Key}` };
    const { UploadId } = await at.client.send(new CreateMultipartUploadCommand(object));
    const upload = { ...object, UploadId };
    const { ETag } = await at.client.send(new UploadPartCommand({ ...upload, PartNumber: 1, Body: BODY }));
    at.proxy.rule({ operation: "complete-upload", fault });
    const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
    await errorOf(at.client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload })));
    expect(at.proxy.exchanges.at(-1)?.status).toBe(200);
    expect(await stored(at, object.Key)).toEqual(done ? BODY : undefined);
  });
});

describe("faults on the way down", () => {
  beforeEach(async () => {
    await at.store.client.send(new PutObjectCommand({ Bucket: at.bucket, Key: "held", Body: BODY }));
  });

  test("a flipped bit comes with the right length and status", async () => {
    at.proxy.rule({ fault: { kind: "flip-download", atByte: 5 } });
    const { body, status } = await get(at, "held", "bytes=0-99");
    const wrong = Buffer.from(BODY.subarray(0, 100));
    wrong.writeUInt8(wrong.readUInt8(5) ^ 1, 5);
    expect([status, body]).toEqual([206, wrong]);
  });

  test("a range can be answered with the whole object, with another range or with a wrong Content-Range", async () => {
    const total = BODY.length;
    at.proxy.rule({ fault: { kind: "whole-for-range" } });
    const whole = await get(at, "held", "bytes=10-19");
    expect([whole.status, whole.contentRange, whole.body]).toEqual([200, undefined, BODY]);
    at.proxy.rule({ fault: { kind: "other-range", shift: 5 } });
    const other = await get(at, "held", "bytes=10-19");
    expect(other).toEqual({ status: 206, contentRange: `bytes 15-24/${total}`, body: BODY.subarray(15, 25) });
    at.proxy.rule({ fault: { kind: "wrong-content-range", shift: 5 } });
    const wrong = await get(at, "held", "bytes=10-19");
    expect(wrong).toEqual({ status: 206, contentRange: `bytes 15-24/${total}`, body: BODY.subarray(10, 20) });
  });

  const cut: [string, Fault][] = [
    ["reset", { kind: "reset", when: "mid-response" }],
    ["cut short", { kind: "truncate", honest: false }],
  ];
  test.each(cut)("%s: the body breaks off after the headers", async (_name, fault) => {
    at.proxy.rule({ fault });
    const answer = await at.client.send(new GetObjectCommand({ Bucket: at.bucket, Key: "held" }));
    expect(answer.ContentLength).toBe(BODY.length);
    await errorOf(Promise.resolve(answer.Body?.transformToByteArray()));
    expect(at.proxy.exchanges[0]?.sent).toBe(BODY.length / 2);
  });

  test("a shorter body may be announced as such", async () => {
    at.proxy.rule({ fault: { kind: "truncate", honest: true, afterBytes: 7 } });
    expect((await get(at, "held", "bytes=10-19")).body).toEqual(BODY.subarray(10, 17));
  });

  test("a stalled body stops after the bytes that were asked for", async () => {
    at.proxy.rule({ fault: { kind: "stall-download", afterBytes: 1000 } });
    const hung = await hangs(async (abortSignal) => {
      const answer = await at.client.send(new GetObjectCommand({ Bucket: at.bucket, Key: "held" }), {
        abortSignal,
      });
      await answer.Body?.transformToByteArray();
    });
    expect([hung, at.proxy.exchanges[0]?.sent]).toEqual([true, 1000]);
  });

  test("an answer can be rewritten", async () => {
    at.proxy.rule({
      operation: "get",
      fault: {
        kind: "rewrite",
        change: (answer) => {
          answer.headers.etag = '"made up"';
          answer.body = answer.body.subarray(0, 3);
        },
      },
    });
    const answer = await at.client.send(new GetObjectCommand({ Bucket: at.bucket, Key: "held" }));
    expect([answer.ETag, answer.ContentLength]).toEqual(['"made up"', 3]);
  });
});
