import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { describe, expect, test } from "vitest";
import type { ObjectInfo } from "../ports.ts";
import { fakeStore, rangeOf, refuse } from "./fake-store-fixtures.ts";
import { failureOf } from "./vault-fixtures.ts";

const MIB = 1024 ** 2;
const objectOf = (bytes: Buffer): ObjectInfo => ({ key: "x.tar", size: bytes.length, version: "e" });

async function sendInPieces(response: ServerResponse, bytes: Buffer, pieceSize: number): Promise<void> {
  for (let at = 0; at < bytes.length; at += pieceSize) {
    if (!response.write(bytes.subarray(at, at + pieceSize))) await once(response, "drain");
  }
  response.end();
}

describe("an answer to a range", () => {
  const bytes = randomBytes(5 * MIB);
  const read = async (store: Awaited<ReturnType<typeof fakeStore>>) => {
    const got: Buffer[] = [];
    const failure = await failureOf(
      store.vault.readRange(
        objectOf(bytes),
        10,
        4 * MIB,
        async (_at, piece) => void got.push(Buffer.from(piece)),
      ),
    );
    return { failure, got: Buffer.concat(got) };
  };

  test("without a length is understood too", async () => {
    await using store = await fakeStore((request, response) => {
      const body = rangeOfChunked(bytes, request, response);
      return sendInPieces(response, body, 700_001);
    });
    const { failure, got } = await read(store);
    expect(failure.code).toBe("no failure");
    expect(got.equals(bytes.subarray(10, 10 + 4 * MIB))).toBe(true);
  });

  const wrong: readonly (readonly [
    string,
    string,
    (request: IncomingMessage, response: ServerResponse) => void,
  ])[] = [
    [
      "the whole object",
      "odd answer",
      (_request, response) => void response.writeHead(200, { etag: '"e"' }).end(bytes),
    ],
    [
      "a length that is not that of the range",
      "odd answer",
      (request, response) => {
        const range = {
          etag: '"e"',
          "content-range": `bytes 10-${9 + 4 * MIB}/${bytes.length}`,
          "content-length": "9",
        };
        response.writeHead(206, range).end(bytes.subarray(10, 19));
        request.resume();
      },
    ],
    [
      "fewer bytes without a length",
      "cut",
      (request, response) => void response.end(rangeOfChunked(bytes, request, response).subarray(0, -1)),
    ],
    [
      "more bytes without a length",
      "odd answer",
      (request, response) => {
        response.write(rangeOfChunked(bytes, request, response));
        response.end("more");
      },
    ],
    [
      "a connection that ends too early",
      "cut",
      (request, response) => {
        response.write(rangeOf(bytes, "e", request, response).subarray(0, 3 * MIB), () =>
          response.socket?.end(),
        );
      },
    ],
    [
      "a page to log in",
      "odd answer",
      (_request, response) => void response.writeHead(200).end("<html>Welcome to our hotel"),
    ],
    [
      "the way to a page to log in",
      "odd answer",
      (_request, response) => void response.writeHead(302, { location: "http://hotel/" }).end(),
    ],
    [
      "a page that forbids",
      "odd answer",
      (_request, response) => void response.writeHead(403).end("<html>Forbidden"),
    ],
    ["another protocol", "odd answer", (request) => void request.socket.end("SSH-2.0-OpenSSH_9.2\r\n\r\n")],
  ];
  test.each(wrong)("is never taken for data: %s", async (_name, reason, answer) => {
    await using store = await fakeStore(answer, { limits: { stallMs: 2000 } });
    const { failure, got } = await read(store);
    expect(failure).toMatchObject({ code: "VAULT_UNREACHABLE", details: { reason } });
    expect(got.equals(bytes.subarray(10, 10 + got.length))).toBe(true);
  });

  test("of another version is a change, as is every way to say that it is gone", async () => {
    const answers: ((request: IncomingMessage, response: ServerResponse) => void)[] = [
      (request, response) => void response.end(rangeOf(bytes, "other", request, response)),
      (_request, response) => refuse(response, 412, "PreconditionFailed"),
      (_request, response) =>
        refuse(response, 404, "NoSuchKey", { headers: { "transfer-encoding": "chunked" } }),
      (_request, response) => refuse(response, 404, "NoSuchVersion"),
      (_request, response) => refuse(response, 416, "InvalidRange", { headers: { connection: "close" } }),
    ];
    await using store = await fakeStore((request, response) => answers.shift()?.(request, response));
    while (answers.length > 0) expect((await read(store)).failure.code).toBe("OBJECT_CHANGED");
  });

  test("that brings more than it announced gives no wrong byte, and its connection is not used again", async () => {
    let first = true;
    await using store = await fakeStore((request, response) => {
      const body = rangeOf(bytes, "e", request, response);
      response.end(body);
      if (first)
        request.socket.write("HTTP/1.1 206 Partial Content\r\ncontent-length: 4194304\r\n\r\nforged");
      first = false;
    });
    for (let time = 0; time < 2; time++) {
      const { failure, got } = await read(store);
      if (failure.code === "no failure") expect(got.equals(bytes.subarray(10, 10 + 4 * MIB))).toBe(true);
      else expect(failure.code).toBe("VAULT_UNREACHABLE");
    }
  });
});

function rangeOfChunked(bytes: Buffer, request: IncomingMessage, response: ServerResponse): Buffer {
  const [, from = 0, to = 0] = (/^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? []).map(Number);
  response.writeHead(206, { etag: '"e"', "content-range": `bytes ${from}-${to}/${bytes.length}` });
  return bytes.subarray(from, to + 1);
}

describe("a store that cannot be reached", () => {
  const ways = [
    ["nothing listens", "refused", { endpoint: "http://127.0.0.1:1" }],
    ["the host is unknown", "dns", { endpoint: "http://no-such-host.invalid" }],
  ] as const;
  test.each(ways)("is named with its cause: %s", async (_name, reason, settings) => {
    await using store = await fakeStore(() => undefined, { settings });
    for (const work of [
      () => store.vault.head("a"),
      () => store.vault.getRange(objectOf(Buffer.from("x")), 0, new Uint8Array(1)),
    ]) {
      const failure = await failureOf(work());
      expect(failure).toMatchObject({ code: "VAULT_UNREACHABLE", details: { reason } });
      expect(failure.message).toContain(settings.endpoint);
    }
  });

  test("is not trusted with an unknown certificate", async () => {
    await using store = await fakeStore((_request, response) => void response.end(), { secure: "unknown" });
    for (const work of [
      () => store.vault.head("a"),
      () => store.vault.getRange(objectOf(Buffer.from("x")), 0, new Uint8Array(1)),
    ]) {
      expect(await failureOf(work())).toMatchObject({
        code: "VAULT_UNREACHABLE",
        details: { reason: "tls" },
      });
    }
    expect(store.asked).toEqual([]);
  });
});
