import { createHash } from "node:crypto";
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import { SLOW_DOWN } from "./fault-catalogue.ts";
import { FaultProxy } from "./fault-proxy.ts";
import { BODY, errorOf, get, put, stored, useProxyDesk } from "./proxy-desk-fixtures.ts";

const at = useProxyDesk();

describe("without a rule", () => {
  test("requests pass unchanged under the client's own signature, and are remembered", async () => {
    await put(at, "dir/plain ä+%");
    expect((await get(at, "dir/plain ä+%")).body).toEqual(BODY);
    expect((await get(at, "dir/plain ä+%", "bytes=10-19")).body).toEqual(BODY.subarray(10, 20));
    await at.client.send(new HeadObjectCommand({ Bucket: at.bucket, Key: "dir/plain ä+%" }));
    expect(await errorOf(get(at, "none"))).toBe("NoSuchKey");
    const size = BODY.length;
    expect(at.proxy.exchanges).toMatchObject([
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
    await put(at, "recorded");
    const record = JSON.stringify(at.proxy.exchanges);
    expect(record).toContain("x-amz-content-sha256");
    expect(record.toLowerCase()).not.toMatch(/authorization|signature|credential/);
    expect(record).not.toContain(at.store.facts.accessKeyId);
    expect(record).not.toContain(at.store.facts.secretAccessKey);
  });

  test("a wrong signature is refused by the store itself, whose answer is never lost", async () => {
    const stranger = at.store.clientFor({ ...at.store.facts, secretAccessKey: "wrong" }, at.proxy.endpoint);
    const Body = Buffer.alloc(16 * 2 ** 20);
    for (let time = 0; time < 5; time += 1) {
      const sent = stranger.send(new PutObjectCommand({ Bucket: at.bucket, Key: "stranger", Body }));
      expect(await errorOf(sent)).toBe("SignatureDoesNotMatch");
    }
    expect(await stored(at, "stranger")).toBeUndefined();
  });

  test("knows the steps of a multipart upload", async () => {
    const object = { Bucket: at.bucket, Key: "multi" };
    const { UploadId } = await at.client.send(new CreateMultipartUploadCommand(object));
    const upload = { ...object, UploadId };
    const part = await at.client.send(new UploadPartCommand({ ...upload, PartNumber: 1, Body: BODY }));
    await at.client.send(new ListPartsCommand(upload));
    const Parts = [{ PartNumber: 1, ETag: part.ETag }];
    await at.client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }));
    expect(await stored(at, "multi")).toEqual(BODY);
    expect(at.proxy.exchanges).toMatchObject([
      { operation: "create-upload", key: "multi" },
      { operation: "upload-part", part: 1, received: BODY.length },
      { operation: "list-parts" },
      { operation: "complete-upload" },
    ]);
  });
});

describe("rules", () => {
  test("meet the nth of the requests they match, as often as they say", async () => {
    const rule = at.proxy.rule({
      operation: "put",
      key: /^counted/,
      nth: 2,
      times: 2,
      fault: { kind: "refuse", refusal: SLOW_DOWN },
    });
    await put(at, "other");
    await put(at, "counted-1");
    expect(await errorOf(put(at, "counted-2"))).toBe("SlowDown");
    expect(await errorOf(put(at, "counted-3"))).toBe("SlowDown");
    expect(rule.fired).toBe(2);
    await put(at, "counted-4");
    at.proxy.rule({ fault: { kind: "refuse", refusal: SLOW_DOWN }, times: Number.POSITIVE_INFINITY });
    expect(await errorOf(put(at, "counted-5"))).toBe("SlowDown");
    at.proxy.clearRules();
    await put(at, "counted-6");
    expect(at.proxy.exchanges.map((entry) => entry.fault)).toEqual([
      ...[undefined, undefined, "refuse", "refuse", undefined, "refuse", undefined],
    ]);
  });

  test("can replace the object between two ranges", async () => {
    await put(at, "replaced");
    const changed = Buffer.alloc(BODY.length, 7);
    at.proxy.rule({
      ranged: true,
      nth: 2,
      before: async () => {
        const object = { Bucket: at.bucket, Key: "replaced" };
        await at.store.client.send(new PutObjectCommand({ ...object, Body: changed }));
      },
    });
    expect((await get(at, "replaced", "bytes=0-9")).body).toEqual(BODY.subarray(0, 10));
    expect((await get(at, "replaced", "bytes=10-19")).body).toEqual(changed.subarray(10, 20));
  });

  test("a callback that fails breaks the request off and is thrown when the proxy is closed", async () => {
    const own = await FaultProxy.open(at.store);
    own.rule({
      before: () => {
        throw new Error("not so");
      },
    });
    await errorOf(
      get({ client: at.store.clientFor(at.store.facts, own.endpoint), bucket: at.bucket }, "any"),
    );
    expect(own.exchanges[0]?.trouble).toBe("not so");
    await expect(own.close()).rejects.toMatchObject({ errors: [new Error("not so")] });
  });

  test("the network can go and come back", async () => {
    await put(at, "kept");
    await at.proxy.goOffline();
    await errorOf(get(at, "kept"));
    expect(at.proxy.exchanges).toHaveLength(1);
    await at.proxy.goOnline();
    expect((await get(at, "kept")).body).toEqual(BODY);
  });
});

test("large bodies pass in both directions", async () => {
  const large = Buffer.alloc(32 * 2 ** 20, BODY);
  await put(at, "large", large);
  const { body } = await get(at, "large");
  expect(createHash("sha256").update(body).digest("hex")).toBe(
    createHash("sha256").update(large).digest("hex"),
  );
  expect(at.proxy.exchanges).toMatchObject([{ received: large.length }, { sent: large.length }]);
});
