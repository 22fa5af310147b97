import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { ObjectInfo } from "../ports.ts";
import type { S3Capabilities } from "./s3-capabilities.ts";
import { attestObject, bareEtag, compositeEtag, isOfParts, tagOf } from "./s3-tags.ts";

const parts = [Buffer.from("first"), Buffer.from("second"), Buffer.from("third")];
const hex = (kind: string, bytes: Uint8Array) => createHash(kind).update(bytes).digest("hex");
const digests = parts.map((part) => hex("sha256", part));
const tags = parts.map((part) => hex("md5", part));
const etag = `${hex("md5", Buffer.concat(tags.map((tag) => Buffer.from(tag, "hex"))))}-3`;
const composite = `${createHash("sha256")
  .update(Buffer.concat(digests.map((digest) => Buffer.from(digest, "hex"))))
  .digest("base64")}-3`;
const object = (more: Partial<ObjectInfo>): ObjectInfo => ({ key: "a", size: 16, version: etag, ...more });
const knows = (etags: boolean, more: Partial<S3Capabilities> = {}) => ({
  digestOnWrite: true,
  createOnly: "honoured" as const,
  createOnlyMultipart: "honoured" as const,
  checksums: true,
  etag: etags,
  ...more,
});

describe("the tag of a part", () => {
  test("is its ETag without quotes, and its checksum where one is kept", () => {
    expect(tagOf({ ETag: '"abc"' })).toBe("abc");
    expect(tagOf({ ETag: "abc" })).toBe("abc");
    expect(tagOf({ ETag: '"abc"', ChecksumSHA256: "x=" })).toBe("abc x=");
    expect(bareEtag(undefined)).toBe("");
  });

  test("makes the ETag of the whole, with or without a checksum beside it", () => {
    expect(compositeEtag(tags)).toBe(etag);
    expect(compositeEtag(tags.map((tag) => `${tag} checksum=`))).toBe(etag);
    expect(compositeEtag(["not-an-md5"])).toBeNull();
    const sent = tags.map((tag, index) => ({ number: index + 1, size: 5, tag }));
    expect(isOfParts(object({}), sent)).toBe(true);
    expect(isOfParts(object({}), sent.toReversed())).toBe(false);
    expect(isOfParts(object({ version: "not-an-md5-1" }), [{ number: 1, size: 1, tag: "not-an-md5" }])).toBe(
      false,
    );
  });
});

describe("what a store keeps of an object", () => {
  const expected = { partSize: 6, digests, tags };
  const attest = (
    info: Partial<ObjectInfo>,
    more: Partial<typeof expected> | { tags: null } = {},
    etags = true,
  ) => attestObject(knows(etags), object(info), { ...expected, ...more });

  test("proves its bytes by the checksum first", () => {
    expect(attest({ sha256: composite })).toEqual({
      method: "sha256 kept by the store",
      matches: true,
      expected: composite,
      actual: composite,
    });
    const other = `${"A".repeat(43)}=-3`;
    expect(attest({ sha256: other })).toMatchObject({ matches: false, actual: other, expected: composite });
  });

  test("proves its bytes by the ETag of the parts where ETags are MD5 and the parts' own are known", () => {
    expect(attest({})).toMatchObject({ method: "etag of the parts", matches: true, expected: etag });
    expect(attest({ version: `${"0".repeat(32)}-3` })).toMatchObject({ matches: false });
    expect(attest({}, {}, false)).toBeNull();
    expect(attest({}, { tags: null })).toBeNull();
    expect(attest({ version: "opaque" })).toBeNull();
  });

  test("proves nothing where the store was not seen to check what it is given", () => {
    const told = (can: Partial<S3Capabilities>, info: Partial<ObjectInfo>) =>
      attestObject(knows(true, can), object(info), expected);
    expect(told({ digestOnWrite: false, checksums: false }, {})).toBeNull();
    expect(told({ digestOnWrite: false, checksums: false }, { sha256: composite })).toBeNull();
    expect(told({ checksums: false }, { sha256: composite })).toMatchObject({ method: "etag of the parts" });
    expect(told({ digestOnWrite: false }, { sha256: composite })).toMatchObject({ matches: true });
    expect(told({ digestOnWrite: false }, {})).toBeNull();
  });

  test("says nothing of these parts when it is of another number of them", () => {
    expect(attest({ sha256: composite.replace("-3", "-4"), version: etag.replace("-3", "-4") })).toBeNull();
    expect(attest({ sha256: "x=", version: "0".repeat(32) })).toBeNull();
  });

  test("is plain for what was put whole", () => {
    const one = { partSize: 6, digests: digests.slice(0, 1), tags: tags.slice(0, 1) };
    const whole = Buffer.from(digests[0] ?? "", "hex").toString("base64");
    expect(attest({ sha256: whole }, one)).toMatchObject({
      matches: true,
      method: "sha256 kept by the store",
    });
    expect(attest({ version: tags[0] ?? "" }, one)).toMatchObject({
      matches: true,
      method: "etag of the parts",
    });
    expect(attest({ version: tags[1] ?? "" }, one)).toMatchObject({ matches: false });
  });
});
