import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { describe, expect, test } from "vitest";
import { StoreCredentials } from "../credentials/store-credentials.ts";
import type { Vault } from "../ports.ts";
import { retrying } from "../transfer/retry.ts";
import { AmazonLike } from "./amazon-like-fixtures.ts";
import { fakeStore, refuse } from "./fake-store-fixtures.ts";
import { createS3Vault } from "./s3-vault.ts";
import type { Deviations } from "./store-deviations-fixtures.ts";
import { failureOf } from "./vault-fixtures.ts";

const MIB = 1024 * 1024;
const KEY = "campaigns/a/01_recon/feed.json";
/** Nothing that such a store says of an object proves its bytes: they are read. */
const SILENT: Deviations = { opaqueEtags: true, ignoresChecksums: true };
const policy = { tries: 4, firstMs: 1, longestMs: 1, sleep: async () => undefined, random: () => 0 };
const again = <T>(work: () => Promise<T>) => retrying(policy, undefined, work);

type Fault = (request: IncomingMessage, response: ServerResponse) => unknown;
const FAULTS: Readonly<Record<string, Fault>> = {
  damaged: (_request, response) => {
    const end = response.end.bind(response);
    response.end = ((bytes: Buffer) => {
      const other = Buffer.from(bytes);
      other[0] = (other[0] ?? 0) ^ 1;
      return end(other);
    }) as typeof response.end;
  },
  "cut off": (request) => void request.socket.destroy(),
};

/** A probed vault in such a store, whose next readings of what is stored under KEY meet a fault. */
async function place(deviations: Deviations = SILENT, more: Fault = () => undefined) {
  const amazon = new AmazonLike(deviations);
  const faults: Fault[] = [];
  const store = await fakeStore((request, response) => {
    const reading = request.headers.range !== undefined && request.url?.includes("feed.json");
    more(request, response);
    if (reading) faults.shift()?.(request, response);
    return request.socket.destroyed || response.writableEnded ? undefined : amazon.answer(request, response);
  });
  const health = await store.vault.health();
  const credentials = async () => new StoreCredentials({ accessKeyId: "AKID", secretAccessKey: "secret" });
  const vault = createS3Vault(store.settings, credentials, health);
  // Until a request has succeeded, one that finds nothing is followed by a reading.
  await namesIn(vault);
  const put = (bytes: Buffer) => vault.putStream(KEY, streamOf(bytes), { again });
  return { amazon, faults, put, vault, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() };
}

async function* streamOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += MIB) yield bytes.subarray(at, at + MIB);
}

async function namesIn(vault: Vault): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of vault.list("")) found.push(key);
  for await (const { key } of vault.listUploads("")) found.push(`upload of ${key}`);
  return found;
}

describe.each(Object.entries(FAULTS))("one reading back that is %s", (_name, fault) => {
  test.each([100, 17 * MIB])("does not make other bytes of the same %i", async (size) => {
    await using store = await place();
    const bytes = randomBytes(size);
    await store.put(bytes);
    store.faults.push(fault);
    expect(await store.put(bytes)).toMatchObject({ already: true, bytes: size });
    expect(store.faults).toEqual([]);
  });

  test("does not lose a stream that cannot be had again", async () => {
    await using store = await place();
    const bytes = randomBytes(17 * MIB);
    store.faults.push(fault);
    expect(await store.put(bytes)).toMatchObject({ already: false, leftUndone: [] });
    expect(store.faults).toEqual([]);
    expect(store.amazon.objects.get(KEY)?.bytes.equals(bytes)).toBe(true);
    expect(await namesIn(store.vault)).toEqual([KEY]);
  });
});

test.each([100, 17 * MIB])("other bytes under the key are told apart from %i, and stay", async (size) => {
  await using store = await place();
  const theirs = randomBytes(size);
  await store.put(theirs);
  expect(await failureOf(store.put(randomBytes(size)))).toMatchObject({ code: "OBJECT_CONFLICT" });
  expect(store.amazon.objects.get(KEY)?.bytes.equals(theirs)).toBe(true);
  expect(await namesIn(store.vault)).toEqual([KEY]);
});

/** Refuses copies whose source `matches`, of an object that has a version. */
function refusingCopies(matches: RegExp): Fault {
  return (request, response) => {
    const source = String(request.headers["x-amz-copy-source"] ?? "");
    if (source !== "" && matches.test(source)) {
      request.resume();
      refuse(response, 403, "AccessDenied", { message: "Access Denied" });
    } else if (request.method === "HEAD" && request.url?.includes(".incoming-")) {
      const writeHead = response.writeHead.bind(response);
      response.writeHead = ((status: number, headers: object) =>
        writeHead(status, { ...headers, "x-amz-version-id": "v1" })) as typeof writeHead;
    }
  };
}

test("a large stream needs no right to read versions", async () => {
  await using store = await place({}, refusingCopies(/versionId=/));
  const bytes = randomBytes(33 * MIB);
  expect(await store.put(bytes)).toMatchObject({ already: false });
  expect(store.amazon.objects.get(KEY)?.bytes.equals(bytes)).toBe(true);
});

test("where it may not be copied, the right to read is what is missing", async () => {
  await using store = await place({}, refusingCopies(/./));
  expect(await failureOf(store.put(randomBytes(17 * MIB)))).toMatchObject({
    code: "PERMISSION_MISSING",
    details: { permission: "s3:GetObject" },
  });
});
