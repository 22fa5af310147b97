import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { ObjectInfo, RangeSource, UploadRef } from "../ports.ts";
import { fakeStore, rangeOf, refuse } from "./fake-store-fixtures.ts";
import { failureOf, memorySource } from "./vault-fixtures.ts";

const MIB = 1024 ** 2;
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const QUICK = { connectMs: 300, stallMs: 300, answerMs: 300, completeMs: 300 };

const uploadOf = (size: number): UploadRef => ({ key: "x.tar", uploadId: "id", size, partSize: size });
const partOf = (bytes: Buffer, source: RangeSource = memorySource(bytes)) => ({
  number: 1,
  source,
  offset: 0,
  size: bytes.length,
  sha256: sha256(bytes),
});
const objectOf = (bytes: Buffer): ObjectInfo => ({ key: "x.tar", size: bytes.length, version: "e" });

/** Takes a body at `pieces` per turn of waiting, and answers with its ETag. */
async function takeSlowly(
  request: IncomingMessage,
  response: ServerResponse,
  waitMs: number,
): Promise<Buffer> {
  const taken: Buffer[] = [];
  for await (const piece of request) {
    taken.push(piece as Buffer);
    if (taken.length % 7 === 0) await delay(waitMs);
  }
  response.writeHead(200, { etag: '"e"' }).end();
  return Buffer.concat(taken);
}

async function sendInPieces(
  response: ServerResponse,
  bytes: Buffer,
  pieceSize: number,
  waitMs: number,
): Promise<void> {
  for (let at = 0; at < bytes.length; at += pieceSize) {
    if (!response.write(bytes.subarray(at, at + pieceSize))) await once(response, "drain");
    if (waitMs > 0) await delay(waitMs);
  }
  response.end();
}

describe.each([undefined, "trusted"] as const)("bytes over %s", (secure) => {
  test("parts arrive as they were read, however slowly they are taken, and their buffers are used again", async () => {
    const arrived: Buffer[] = [];
    await using store = await fakeStore(
      async (request, response) => void arrived.push(await takeSlowly(request, response, 1)),
      { ...(secure === undefined ? {} : { secure }) },
    );
    const parts = Array.from({ length: 6 }, (_, i) => randomBytes(3 * MIB + i * MIB + i));
    for (const lanes of [parts.slice(0, 3), parts.slice(3)]) {
      await Promise.all(lanes.map((bytes) => store.vault.putPart(uploadOf(bytes.length), partOf(bytes))));
    }
    expect(new Set(arrived.map(sha256))).toEqual(new Set(parts.map(sha256)));
    expect(store.connections()).toBeLessThanOrEqual(3);
  });

  test("ranges arrive as they were sent, in pieces of any size, however slowly they are consumed", async () => {
    const bytes = randomBytes(7 * MIB + 13);
    const pieces = [16 * MIB, 16 * MIB, 64 * 1024, 1_000_003, 16 * MIB, 317 * 1024];
    await using store = await fakeStore(
      (request, response) =>
        sendInPieces(response, rangeOf(bytes, "e", request, response), pieces.shift() ?? MIB, 0),
      { ...(secure === undefined ? {} : { secure }) },
    );
    const read = async (offset: number, size: number, waitMs: number) => {
      const got: Buffer[] = [];
      await store.vault.readRange(objectOf(bytes), offset, size, async (at, piece) => {
        const before = Buffer.from(piece);
        await delay(waitMs);
        expect(before.equals(piece), "nobody writes into a piece that is being consumed").toBe(true);
        expect(at).toBe(got.reduce((sum, one) => sum + one.length, 0));
        got.push(before);
      });
      expect(sha256(Buffer.concat(got))).toBe(sha256(bytes.subarray(offset, offset + size)));
    };
    // A TLS connection brings more after it was told to stop.
    await read(0, bytes.length, 50);
    await read(0, bytes.length, 5);
    await Promise.all([read(0, bytes.length, 30), read(5, 6 * MIB, 0), read(MIB, 6 * MIB, 15)]);
    await Promise.all([read(2 * MIB, 4 * MIB, 5), read(0, 1, 0), read(bytes.length - 2, 2, 0)]);
    expect(store.connections()).toBeLessThanOrEqual(3);
  });
});

describe("silence", () => {
  const bytes = randomBytes(8 * MIB);
  const stalls: readonly (readonly [string, Parameters<typeof fakeStore>[0]])[] = [
    ["no answer", () => undefined],
    [
      "a body that stops",
      (request, response) => void response.write(rangeOf(bytes, "e", request, response).subarray(0, MIB)),
    ],
    [
      "a body that never begins",
      (request, response) => {
        rangeOf(bytes, "e", request, response);
        response.flushHeaders();
      },
    ],
    ["half of a head", (request) => void request.socket.write("HTTP/1.1 206 Partial")],
  ];
  test.each(stalls)("of a store that was asked for a range ends the request: %s", async (_name, answer) => {
    await using store = await fakeStore(answer, { limits: QUICK });
    const failure = await failureOf(
      store.vault.readRange(objectOf(bytes), 0, bytes.length, async () => undefined),
    );
    expect(failure).toMatchObject({ code: "VAULT_UNREACHABLE", details: { reason: "stalled" } });
  });

  test.each([
    ["never takes the body", (request: IncomingMessage) => void request.pause()],
    ["never answers", (request: IncomingMessage) => void request.resume()],
  ])("of a store that was sent a part ends the request: it %s", async (_name, answer) => {
    await using store = await fakeStore(answer, { limits: QUICK });
    const failure = await failureOf(store.vault.putPart(uploadOf(bytes.length), partOf(bytes)));
    expect(failure).toMatchObject({ code: "VAULT_UNREACHABLE", details: { reason: "stalled" } });
  });

  test("of ours is not the store's: slow sources, consumers and limits are waited for", async () => {
    const stored: string[] = [];
    await using store = await fakeStore(
      async (request, response) => {
        if (request.method === "PUT") stored.push(sha256(await takeSlowly(request, response, 0)));
        else response.end(rangeOf(bytes, "e", request, response));
      },
      { limits: QUICK },
    );
    const slow: RangeSource = {
      ...memorySource(bytes),
      read: async (offset, target) => {
        if (offset === 2 * MIB) await delay(900);
        await memorySource(bytes).read(offset, target);
      },
    };
    await store.vault.putPart(uploadOf(bytes.length), partOf(bytes, slow));
    let held = false;
    const pace = async () => {
      if (!held) await delay(900);
      held = true;
    };
    await store.vault.putPart(uploadOf(bytes.length), partOf(bytes), { pace });
    expect(stored).toEqual([sha256(bytes), sha256(bytes)]);
    const got = createHash("sha256");
    await store.vault.readRange(objectOf(bytes), 0, bytes.length, async (at, piece) => {
      if (at === 0) await delay(900);
      got.update(piece);
    });
    expect(got.digest("hex")).toBe(sha256(bytes));
  });

  test("is none as long as something moves, be it ever so slowly", async () => {
    const small = bytes.subarray(0, 12);
    await using store = await fakeStore(
      async (request, response) => {
        if (request.method === "GET" && request.headers.range !== undefined) {
          await sendInPieces(response, rangeOf(small, "e", request, response), 1, 100);
        } else if (request.method === "POST") {
          // As Amazon keeps a completion alive.
          response.writeHead(200, { "content-type": "application/xml" });
          for (let blank = 0; blank < 10; blank++) {
            response.write(" ");
            await delay(100);
          }
          response.end("<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>");
        } else if (store.asked.some((one) => one.startsWith("POST"))) {
          response.writeHead(200, { etag: '"e-1"', "content-length": "12" }).end();
        } else refuse(response, 404, "NoSuchKey");
      },
      { limits: QUICK },
    );
    const got: Buffer[] = [];
    await store.vault.readRange(
      objectOf(small),
      0,
      12,
      async (_at, piece) => void got.push(Buffer.from(piece)),
    );
    expect(Buffer.concat(got).equals(small)).toBe(true);
    const parts = [{ number: 1, size: 12, tag: "e" }];
    expect((await store.vault.completeUpload(uploadOf(12), parts)).size).toBe(12);
  });
});

describe("the end of a request", () => {
  const bytes = randomBytes(16 * MIB);

  test("comes at once when work is called off, and the connection is cut", async () => {
    const closed: Promise<unknown>[] = [];
    const stop = [new AbortController(), new AbortController()] as const;
    await using store = await fakeStore((request, response) => {
      closed.push(new Promise((resolve) => request.socket.once("close", resolve)));
      if (request.method === "PUT") request.on("data", () => stop[0].abort());
      else {
        response.write(rangeOf(bytes, "e", request, response).subarray(0, 5 * MIB));
        setTimeout(() => stop[1].abort(), 50);
      }
    });
    const { vault } = store;
    const sending = vault.putPart(uploadOf(bytes.length), partOf(bytes), { signal: stop[0].signal });
    expect((await failureOf(sending)).code).toBe("CANCELLED");
    const reading = vault.readRange(objectOf(bytes), 0, bytes.length, async () => undefined, stop[1].signal);
    expect((await failureOf(reading)).code).toBe("CANCELLED");
    await Promise.all(closed);
    expect(closed).toHaveLength(2);
  });

  test("waits for a read of the source that is under way", async () => {
    await using store = await fakeStore((request) => {
      if (request.method === "GET") request.socket.destroy();
      else request.once("data", () => request.socket.resetAndDestroy());
    });
    let reading = 0;
    const slow: RangeSource = {
      ...memorySource(bytes),
      read: async (offset, target) => {
        reading++;
        if (offset > 0) await delay(100);
        await memorySource(bytes).read(offset, target);
        reading--;
      },
    };
    const failure = await failureOf(store.vault.putPart(uploadOf(bytes.length), partOf(bytes, slow)));
    expect(failure).toMatchObject({ code: "VAULT_UNREACHABLE", details: { reason: "cut" } });
    expect(reading).toBe(0);
  });

  test("is a refusal as soon as it is read, in the middle of a body", async () => {
    await using store = await fakeStore((request, response) => {
      refuse(response, 400, "ExpiredToken");
      request.pause();
    });
    const failure = await failureOf(store.vault.putPart(uploadOf(bytes.length), partOf(bytes)));
    expect(failure.code).toBe("CREDENTIALS_REFUSED");
  });

  test("is a refusal also when the store cuts the connection before it is read", async () => {
    await using store = await fakeStore((request, response) => {
      if (request.method === "GET") refuse(response, 400, "ExpiredToken");
      else request.once("data", () => request.socket.resetAndDestroy());
    });
    const failure = await failureOf(store.vault.putPart(uploadOf(bytes.length), partOf(bytes)));
    expect(failure.code).toBe("CREDENTIALS_REFUSED");
  });
});
