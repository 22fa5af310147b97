import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import https from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import tls from "node:tls";
import { StoreCredentials } from "../credentials/store-credentials.ts";
import { S3_LIMITS, type S3Limits, type S3Settings } from "./s3-settings.ts";
import { createS3Vault, type S3Vault } from "./s3-vault.ts";
import { scratch } from "./vault-fixtures.ts";

type Answer = (request: IncomingMessage, response: ServerResponse) => unknown;

/** For tests only: a secret that no failure may hold. */
export const SECRET = "wJalrXUtnFEMIsecretEXAMPLEKEY";
export const ACCESS_KEY = "AKIDEXAMPLEKEYID";
export const TOKEN = "FwoGZXIvYXdzEXAMPLEtoken";

export interface FakeStore extends AsyncDisposable {
  readonly vault: S3Vault;
  readonly settings: S3Settings;
  /** Requests so far, as `GET /bucket/key?query`. */
  readonly asked: string[];
  /** Connections that were made so far. */
  readonly connections: () => number;
}

/** For tests only: something that answers like a store, or not at all, on a port of its own, and a vault in it. */
export async function fakeStore(
  answer: Answer,
  options: {
    readonly limits?: Partial<S3Limits>;
    /** HTTPS, with a certificate that this process trusts or does not. */
    readonly secure?: "trusted" | "unknown";
    readonly settings?: Partial<S3Settings>;
    readonly onSocket?: (socket: Socket) => void;
  } = {},
): Promise<FakeStore> {
  const server =
    options.secure === undefined ? http.createServer() : https.createServer(certificate(options.secure));
  server.requestTimeout = 0;
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  let made = 0;
  server.on("connection", (socket: Socket) => {
    made++;
    sockets.add(socket);
    socket.on("error", () => undefined);
    options.onSocket?.(socket);
  });
  server.on("request", (request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.on("error", () => undefined);
    Promise.resolve(answer(request, response)).catch((error) => {
      // The client went away in the middle of its body.
      if (!request.destroyed) throw error;
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const settings: S3Settings = {
    name: "test-vault",
    bucket: "bucket",
    endpoint: `${options.secure === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    region: "us-east-1",
    prefix: null,
    pathStyle: true,
    storageClass: null,
    encryption: "none",
    kmsKey: null,
    ...options.settings,
  };
  const key = { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET, sessionToken: TOKEN };
  const limits = { ...S3_LIMITS, ...options.limits };
  const vault = createS3Vault(settings, async () => new StoreCredentials(key), null, limits);
  return {
    vault,
    settings,
    asked,
    connections: () => made,
    [Symbol.asyncDispose]: async () => {
      vault.close();
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, "close");
    },
  };
}

/** Answers with an error as S3 writes it. */
export function refuse(
  response: ServerResponse,
  status: number,
  code: string,
  more: { readonly headers?: Record<string, string>; readonly xml?: string; readonly message?: string } = {},
): ServerResponse {
  const message = more.message === undefined ? "" : `<Message>${more.message}</Message>`;
  response.writeHead(status, { "content-type": "application/xml", ...more.headers });
  return response.end(`<?xml version="1.0"?><Error><Code>${code}</Code>${message}${more.xml ?? ""}</Error>`);
}

/** Answers a GET with a Range of these bytes as a store does. */
export function rangeOf(
  bytes: Buffer,
  etag: string,
  request: IncomingMessage,
  response: ServerResponse,
): Buffer {
  const [, from = 0, to = 0] = (/^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? []).map(Number);
  response.writeHead(206, {
    etag: `"${etag}"`,
    "content-range": `bytes ${from}-${to}/${bytes.length}`,
    "content-length": to - from + 1,
  });
  return bytes.subarray(from, to + 1);
}

/** A certificate for 127.0.0.1; this process alone may trust it, from now on. */
function certificate(trusted: "trusted" | "unknown"): { readonly key: Buffer; readonly cert: Buffer } {
  using folder = scratch();
  const [key, cert] = [join(folder.path, "key.pem"), join(folder.path, "cert.pem")];
  execFileSync(
    "openssl",
    [
      ...[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
      ],
      ...["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
    ],
    { stdio: "ignore" },
  );
  const made = { key: readFileSync(key), cert: readFileSync(cert) };
  if (trusted === "trusted")
    tls.setDefaultCACertificates([...tls.getCACertificates("default"), made.cert.toString()]);
  return made;
}
