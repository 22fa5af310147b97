import { describe, expect, test } from "vitest";
import { type Request, requestSchemas } from "../../src-contract/vault-api.ts";
import { FailureError } from "../failing.ts";
import { settingsOf, settingsWarnings } from "./s3-request.ts";

const settings = (more: Partial<Request<"vaultAddS3">>) =>
  settingsOf(requestSchemas.vaultAddS3.parse({ name: "lake", bucket: "evidence", ...more }));

test("a bucket of Amazon's needs no more than its name", () => {
  expect(settings({})).toEqual({
    name: "lake",
    bucket: "evidence",
    endpoint: null,
    region: "us-east-1",
    prefix: null,
    pathStyle: false,
    storageClass: null,
    encryption: "none",
    kmsKey: null,
  });
});

test.each([
  ["https://S3.Example.org/", "https://s3.example.org", true],
  ["https://s3.example.org:443", "https://s3.example.org", true],
  ["http://s3.example.org:80", "http://s3.example.org", true],
  ["https://s3.example.org:8443", "https://s3.example.org:8443", true],
  ["http://[::1]:8080", "http://[::1]:8080", true],
  ["https://s3.eu-central-1.amazonaws.com", "https://s3.eu-central-1.amazonaws.com", false],
  [
    "https://bucket.vpce-1.s3.eu-central-1.vpce.amazonaws.com",
    "https://bucket.vpce-1.s3.eu-central-1.vpce.amazonaws.com",
    false,
  ],
  ["https://s3.cn-north-1.amazonaws.com.cn", "https://s3.cn-north-1.amazonaws.com.cn", false],
  ["https://amazonaws.com.example.org", "https://amazonaws.com.example.org", true],
])(
  "%s is one endpoint however it is written, and other stores than Amazon's get the bucket in the path",
  (given, endpoint, pathStyle) => {
    expect(settings({ endpoint: given })).toMatchObject({ endpoint, pathStyle });
    expect(settings({ endpoint: given, pathStyle: !pathStyle })).toMatchObject({ pathStyle: !pathStyle });
  },
);

describe("what cannot be meant is refused", () => {
  test.each([
    ["a port that there is not", { endpoint: "https://s3.example.org:99999" }],
    ["a key without its encryption", { kmsKey: "arn:1" }],
    ["a key with another encryption", { kmsKey: "arn:1", encryption: "AES256" as const }],
  ])("%s", (_, more) => {
    expect(() => settings(more)).toThrow(FailureError);
  });

  test.each([
    "https://user:password@s3.example.org",
    "https://s3.example.org/bucket",
    "https://s3.example.org?x",
    "ftp://s3.example.org",
    "s3.example.org",
  ])("the endpoint %s", (endpoint) => {
    expect(requestSchemas.vaultAddS3.safeParse({ name: "lake", bucket: "evidence", endpoint }).success).toBe(
      false,
    );
  });
});

test.each([
  ["http://s3.example.org", 1],
  ["http://10.0.0.7:9000", 1],
  ["http://127.0.0.1.example.org", 1],
  ["https://s3.example.org", 0],
  ["http://127.0.0.1:9000", 0],
  ["http://127.1.2.3:9000", 0],
  ["http://localhost:9000", 0],
  ["http://ceph.localhost", 0],
  ["http://[::1]:9000", 0],
])("evidence that would go to %s unencrypted is warned of: %i", (endpoint, warnings) => {
  const found = settingsWarnings(settings({ endpoint }));
  expect(found).toHaveLength(warnings);
  for (const { message } of found) expect(message).toContain("without encryption");
});

test("a KMS key that no request could name is refused", () => {
  const parse = (kmsKey: string) =>
    requestSchemas.vaultAddS3.safeParse({ name: "lake", bucket: "evidence", encryption: "aws:kms", kmsKey });
  for (const key of ["arn:aws:kms:eu-central-1:111122223333:key/12ab-34cd", "alias/evidence", "12ab-34cd"])
    expect(parse(key).success).toBe(true);
  for (const key of ["alias/x\n", "alias/\r\nx-amz-acl: public-read", "a b", "schlüssel", "\u0000"]) {
    expect(parse(key).error?.issues[0]?.message).toMatch(/^use the key's id, ARN or alias/);
  }
});
