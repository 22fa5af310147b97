import { createHash } from "node:crypto";
import type { ServerResponse } from "node:http";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import type { FailureError } from "../failing.ts";
import { ACCESS_KEY, fakeStore, refuse, SECRET, TOKEN } from "./fake-store-fixtures.ts";
import { collect, failureOf, memorySource } from "./vault-fixtures.ts";

const upload = { key: "x.tar", uploadId: "id", size: 10, partSize: 10 };
const bytes = Buffer.from("0123456789");
const sha256 = createHash("sha256").update(bytes).digest("hex");
const part = { number: 1, source: memorySource(bytes), offset: 0, size: 10, sha256 };

type Store = Awaited<ReturnType<typeof fakeStore>>;
/** Every kind of request, each with the permission that it needs. */
const REQUESTS: readonly (readonly [string, string, (store: Store) => Promise<unknown>])[] = [
  ["a list", "s3:ListBucket", ({ vault }) => collect(vault.list(""))],
  ["a list of uploads", "s3:ListBucketMultipartUploads", ({ vault }) => collect(vault.listUploads(""))],
  [
    "a range",
    "s3:GetObject",
    ({ vault }) => vault.getRange({ key: "a", size: 9, version: "e" }, 0, new Uint8Array(9)),
  ],
  ["a delete", "s3:DeleteObject", ({ vault }) => vault.delete("a")],
  ["a begin", "s3:PutObject", ({ vault }) => vault.beginUpload("a", 10, 10)],
  ["a part", "s3:PutObject", ({ vault }) => vault.putPart(upload, part)],
  ["a list of parts", "s3:ListMultipartUploadParts", ({ vault }) => vault.listParts(upload)],
  ["an abort", "s3:AbortMultipartUpload", ({ vault }) => vault.abortUpload(upload)],
];

/** Throws when a failure shows a secret, however it is printed. */
async function holdsNoSecret(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    const { failure, cause, stack } = error as FailureError;
    const printed = [
      JSON.stringify(failure),
      inspect(error, { depth: 20, showHidden: true }),
      inspect(cause, { depth: 20 }),
      stack,
    ];
    for (const secret of [SECRET, TOKEN, ACCESS_KEY, "AWS4-HMAC-SHA256", "authorization"]) {
      for (const text of printed) expect(text).not.toContain(secret);
    }
  }
}

describe.each(REQUESTS)("%s", (_name, permission, ask) => {
  const CASES: readonly (readonly [number, string, string, object])[] = [
    [403, "AccessDenied", "PERMISSION_MISSING", { permission }],
    [403, "ExpiredToken", "CREDENTIALS_REFUSED", {}],
    [400, "ExpiredToken", "CREDENTIALS_REFUSED", {}],
    [400, "InvalidToken", "CREDENTIALS_REFUSED", {}],
    [403, "InvalidAccessKeyId", "CREDENTIALS_REFUSED", {}],
    [403, "SignatureDoesNotMatch", "CREDENTIALS_REFUSED", {}],
    [404, "NoSuchBucket", "BUCKET_NOT_FOUND", {}],
    [500, "InternalError", "VAULT_UNREACHABLE", { reason: "busy" }],
    [502, "BadGateway", "VAULT_UNREACHABLE", { reason: "busy" }],
    [503, "SlowDown", "VAULT_UNREACHABLE", { reason: "throttled" }],
    [429, "TooManyRequests", "VAULT_UNREACHABLE", { reason: "throttled" }],
    [501, "NotImplemented", "STORE_REFUSED", {}],
    [400, "InvalidRequest", "STORE_REFUSED", {}],
    [403, "QuotaExceeded", "DISK_FULL", {}],
  ];
  test.each(CASES)("refused with %i %s", async (status, storeCode, code, details) => {
    await using store = await fakeStore((request, response) => {
      request.resume();
      refuse(response, status, storeCode, { message: "Words of the store" });
    });
    expect(await failureOf(ask(store))).toMatchObject({ code, details: { status, storeCode, ...details } });
    await holdsNoSecret(ask(store));
  });

  const NOT_S3: readonly (readonly [string, (response: ServerResponse) => void])[] = [
    [
      "200 and a page",
      (response) => void response.writeHead(200, { "content-type": "text/html" }).end("<html><p>Welcome"),
    ],
    ["200 and nothing", (response) => void response.writeHead(200).end()],
    ["302", (response) => void response.writeHead(302, { location: "https://hotel.example/" }).end()],
    ["403 and a page", (response) => void response.writeHead(403).end("<html><body>Blocked</body></html>")],
    ["404 and a page", (response) => void response.writeHead(404).end("<html><body>Not found</body></html>")],
    ["407", (response) => void response.writeHead(407).end("Proxy authentication required")],
    ["511", (response) => void response.writeHead(511).end("Network authentication required")],
    ["a cut connection", (response) => void response.socket?.destroy()],
  ];
  test.each(NOT_S3)("answered by something else: %s", async (_what, answer) => {
    await using store = await fakeStore((request, response) => {
      request.resume();
      answer(response);
    });
    // A deletion has no body by which S3 could be told.
    if (permission === "s3:DeleteObject" && _what.startsWith("200")) return;
    expect((await failureOf(ask(store))).code).toBe("VAULT_UNREACHABLE");
    await holdsNoSecret(ask(store));
  });
});

describe("a refusal", () => {
  const list = ({ vault }: Store) => collect(vault.list(""));

  test("tells how long to wait, in seconds or until a date", async () => {
    const soon = new Date(Date.now() + 60_000).toUTCString();
    const headers = ["7", soon, "nonsense"];
    await using store = await fakeStore((_request, response) =>
      refuse(response, 503, "SlowDown", { headers: { "retry-after": headers.shift() ?? "" } }),
    );
    expect((await failureOf(list(store))).details?.retryAfterMs).toBe(7000);
    const wait = (await failureOf(list(store))).details?.retryAfterMs as number;
    expect(wait).toBeGreaterThan(50_000);
    expect(wait).toBeLessThanOrEqual(60_000);
    expect((await failureOf(list(store))).details?.retryAfterMs).toBeUndefined();
  });

  test("over the clock tells both times, again and again", async () => {
    await using store = await fakeStore((_request, response) =>
      refuse(response, 403, "RequestTimeTooSkewed", {
        xml: "<ServerTime>2020-01-01T00:00:00Z</ServerTime>",
        headers: { date: "Wed, 01 Jan 2020 00:00:00 GMT" },
      }),
    );
    for (let time = 0; time < 3; time++) {
      const failure = await failureOf(list(store));
      expect(failure).toMatchObject({ code: "CLOCK_SKEWED", details: { store: "2020-01-01T00:00:00Z" } });
      expect(failure.message).toContain(new Date().toISOString().slice(0, 10));
    }
  });

  test.each([
    [301, "PermanentRedirect", { headers: { "x-amz-bucket-region": "eu-central-1" } }],
    [400, "AuthorizationHeaderMalformed", { xml: "<Region>eu-central-1</Region>" }],
  ])("for another region names the right one (%i %s)", async (status, code, more) => {
    await using store = await fakeStore((_request, response) => refuse(response, status, code, more));
    const failure = await failureOf(list(store));
    expect(failure).toMatchObject({ code: "STORE_REFUSED", details: { region: "eu-central-1" } });
    expect(failure.message).toContain("us-east-1");
    expect(failure.nextStep).toContain("--region eu-central-1");
  });

  test("names another permission where the store does", async () => {
    const message =
      "User: arn:aws:iam::1:user/u is not authorized to perform: kms:GenerateDataKey on resource: arn:aws:kms:x";
    await using store = await fakeStore((_request, response) =>
      refuse(response, 403, "AccessDenied", { message }),
    );
    expect((await failureOf(list(store))).nextStep).toContain("kms:GenerateDataKey");
  });

  test("is quoted, but not what it says back of a signed request", async () => {
    const token = "FwoGZXIvYXdz/".repeat(9);
    const said = ["Storage class X is unknown.", `Wrong: token ${token} of you`];
    await using store = await fakeStore((request, response) => {
      const message = said.shift() ?? `Cannot read ${request.headers.authorization}`;
      refuse(response, 400, "InvalidRequest", { message });
    });
    expect((await failureOf(list(store))).message).toMatch(/InvalidRequest\): Storage class X is unknown\.$/);
    expect((await failureOf(list(store))).message).toMatch(/: Wrong: token \.\.\. of you\.$/);
    expect((await failureOf(list(store))).message).toMatch(/: Cannot read \.\.\.$/);
    await holdsNoSecret(list(store));
  });

  test("of credentials has them asked for anew", async () => {
    await using store = await fakeStore((_request, response) => refuse(response, 403, "InvalidAccessKeyId"));
    const failure = await failureOf(list(store));
    expect(failure.nextStep).toContain("strongroom vault set-credentials test-vault");
  });
});

describe("a HEAD that is refused, whose answer has no body", () => {
  /** What the store says to HEAD, to GET and to a list. */
  const CASES: readonly (readonly [
    number,
    readonly [number, string],
    readonly [number, string],
    string,
    string,
  ])[] = [
    [400, [400, "ExpiredToken"], [400, "ExpiredToken"], "CREDENTIALS_REFUSED", "set-credentials"],
    [
      403,
      [403, "SignatureDoesNotMatch"],
      [403, "SignatureDoesNotMatch"],
      "CREDENTIALS_REFUSED",
      "set-credentials",
    ],
    [403, [403, "AccessDenied"], [403, "AccessDenied"], "PERMISSION_MISSING", "s3:ListBucket"],
    [403, [403, "AccessDenied"], [200, ""], "PERMISSION_MISSING", "s3:GetObject"],
    [403, [403, "RequestTimeTooSkewed"], [200, ""], "CLOCK_SKEWED", "clock"],
    [404, [404, "NoSuchBucket"], [404, "NoSuchBucket"], "BUCKET_NOT_FOUND", "bucket"],
    [404, [404, "NoSuchKey"], [200, ""], "no failure", ""],
    [403, [404, "NoSuchKey"], [200, ""], "no failure", ""],
    [301, [301, "PermanentRedirect"], [301, "PermanentRedirect"], "STORE_REFUSED", "--region"],
    [403, [200, ""], [200, ""], "VAULT_UNREACHABLE", "again"],
    [404, [302, ""], [200, ""], "VAULT_UNREACHABLE", "again"],
    [503, [503, "SlowDown"], [503, "SlowDown"], "VAULT_UNREACHABLE", "again"],
  ];
  test.each(CASES)("%i, then %j, then %j", async (head, get, list, code, nextStep) => {
    await using store = await fakeStore((request, response) => {
      const isList = request.url?.includes("list-type=2") === true;
      const [status, storeCode] = request.method === "HEAD" ? [head, ""] : isList ? list : get;
      if (storeCode !== "") return refuse(response, status, storeCode);
      response.writeHead(status);
      response.end(isList ? "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>" : "");
    });
    const failure = await failureOf(store.vault.head("a/b"));
    expect(failure.code).toBe(code);
    expect(failure.nextStep).toContain(nextStep);
    await holdsNoSecret(store.vault.head("a/b"));
  });
});

describe("after a success a HEAD that finds nothing", () => {
  const place = (headers: Record<string, string>) =>
    fakeStore((request, response) => {
      if (request.method !== "HEAD") return response.end(EMPTY);
      return response.writeHead(404, headers).end();
    });
  const EMPTY = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";

  test("is no store's when it is a page", async () => {
    await using store = await place({ "content-type": "text/html; charset=utf-8" });
    await collect(store.vault.list(""));
    expect(await failureOf(store.vault.head("a"))).toMatchObject({
      code: "VAULT_UNREACHABLE",
      details: { reason: "odd answer", status: 404 },
    });
  });

  test.each([
    [{ "content-type": "application/xml" }],
    [{}],
    [{ "content-type": "text/html", "x-amz-request-id": "tx1" }],
  ])("is believed of a store with %j", async (headers) => {
    await using store = await place(headers as Record<string, string>);
    await collect(store.vault.list(""));
    expect(await store.vault.head("a")).toBeNull();
  });
});

test("an upload is dropped without the right to list its parts", async () => {
  await using store = await fakeStore((request, response) => {
    request.resume();
    if (request.method === "DELETE") return response.writeHead(204).end();
    return refuse(response, 403, "AccessDenied");
  });
  await store.vault.abortUpload(upload);
  expect(store.asked[0]).toMatch(/^DELETE .*uploadId=id/);
});
