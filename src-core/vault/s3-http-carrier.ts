import http, { type ClientRequest, type IncomingMessage } from "node:http";
import https from "node:https";
import type { Readable } from "node:stream";
import type { Pace } from "../ports.ts";
import { pourStream, type Step } from "./pump-range.ts";
import type { Carrier, Phase } from "./s3-watch.ts";

/** A signed request as the SDK hands it to its HTTP handler. */
export interface SignedRequest {
  readonly method: string;
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number | undefined;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>;
  readonly headers: Record<string, string>;
  readonly body?: unknown;
}

export interface HttpAnswer {
  readonly statusCode: number;
  readonly headers: Record<string, string>;
  readonly body: Readable;
}

/** Hands bytes to the connection; settles once the system has taken them, so that the buffer may be used again. */
export type Send = (bytes: Uint8Array) => Promise<void>;

export interface BodyPlan {
  /** Streams the body, whose size the request's Content-Length tells. What it throws ends the request and is its failure. */
  readonly body?: ((send: Send) => Promise<void>) | undefined;
  /** Awaited before bytes of the body go out. */
  readonly pace?: Pace | undefined;
  /** Told as the system takes bytes of the body. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/** So small that a slow line (9 KB/s in each lane) still shows a sign of life within the stall limit, so large that the calls cost nothing. */
const SLICE = 256 * 1024;

/** Thrown into a body that need not be sent on, since the request is over. */
const OVER = Symbol("the request is over");

/**
 * One request over Node's HTTP client. Unlike the SDK's own handler it knows when the system has taken a buffer, and whose turn it is.
 * Throws what cannot be a request.
 */
export class HttpCarrier implements Carrier {
  phase: Phase = "connect";
  readonly #plan: BodyPlan;
  readonly #request: ClientRequest;
  #response: IncomingMessage | null = null;
  #status = 0;
  #sent = 0;
  #bodySent = false;
  #stopWrite: () => void = () => undefined;

  constructor(request: SignedRequest, agent: http.Agent, plan: BodyPlan) {
    this.#plan = plan;
    const transport = request.protocol === "https:" ? https : http;
    this.#request = transport.request({
      method: request.method,
      host: bareHost(request),
      port: request.port,
      path: pathOf(request),
      headers: request.headers,
      agent,
    });
  }

  /** Sends the request. When it settles, either way, the body is read no more. */
  async answer(whole: unknown): Promise<HttpAnswer> {
    const request = this.#request;
    const failed = new Promise<never>((_resolve, reject) => request.on("error", reject));
    // It may come after the answer, or beside a failure of the body.
    failed.catch(() => undefined);
    const response = new Promise<IncomingMessage>((resolve) =>
      request.once("response", (head) => {
        this.#response = head;
        this.#status = head.statusCode ?? 0;
        // A store that refuses does not want the rest; one that accepts has to be given it.
        if (this.#status >= 300) this.#stopWrite();
        resolve(head);
      }),
    );
    request.once("close", () => this.#stopWrite());
    const sending = this.#send(whole);
    try {
      const [head] = await Promise.race([Promise.all([response, sending]), failed]);
      // The connection cannot be used again with half a body on it.
      if (!this.#bodySent) head.once("end", () => request.destroy());
      this.phase = "receive";
      return { statusCode: this.#status, headers: flatHeaders(head), body: head };
    } catch (error) {
      request.destroy();
      this.#stopWrite();
      await sending.catch(() => undefined);
      throw error;
    }
  }

  /** The body of the answer, as `pourStream` hands it on. */
  pour(size: number, consume: Step): Promise<number> {
    if (this.#response === null) throw new Error("no answer yet");
    return pourStream(this.#response, size, consume);
  }

  moved(): number {
    return this.#sent + (this.#request.socket?.bytesRead ?? 0);
  }

  waiting(): boolean {
    return (this.#response?.readableLength ?? 0) > 0;
  }

  /** Cuts the connection, but after a whole answer. */
  destroy(): void {
    if (this.#response?.complete !== true || !this.#bodySent) this.#request.destroy();
  }

  /** Ends without a failure also when the request is over before the body is. */
  async #send(whole: unknown): Promise<void> {
    const request = this.#request;
    await connected(request);
    if (request.destroyed) return;
    try {
      if (this.#plan.body !== undefined) {
        this.phase = "ours";
        await this.#plan.body((bytes) => this.#write(bytes));
      } else if (whole !== undefined && whole !== null) {
        await this.#write(typeof whole === "string" ? Buffer.from(whole) : (whole as Uint8Array));
      }
    } catch (error) {
      if (error !== OVER) throw error;
      return;
    }
    request.end();
    this.#bodySent = true;
    this.phase = "answer";
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += SLICE) {
      const slice = bytes.subarray(at, at + SLICE);
      this.phase = "ours";
      await this.#plan.pace?.(slice.length);
      this.phase = "send";
      await this.#writeSlice(slice);
      this.#sent += slice.length;
      this.#plan.onBytes?.(slice.length);
    }
    this.phase = "ours";
  }

  #writeSlice(slice: Uint8Array): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#stopWrite = () => reject(OVER);
      if (this.#request.destroyed || this.#status >= 300) reject(OVER);
      // A write that failed ends the connection, whose own error tells why.
      else
        this.#request.write(slice, (error) =>
          error === null || error === undefined ? resolve() : undefined,
        );
    });
  }
}

/** Waits for the connection; for ever when it does not come about, which the request itself reports. */
function connected(request: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    request.once("close", () => resolve());
    request.once("socket", (socket) => {
      if (!socket.connecting) resolve();
      else socket.once("encrypted" in socket ? "secureConnect" : "connect", () => resolve());
    });
  });
}

function flatHeaders(response: IncomingMessage): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(response.headers)) {
    if (value !== undefined) flat[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  return flat;
}

/** The host without the brackets of an IPv6 address. */
export function bareHost({ hostname }: SignedRequest): string {
  return hostname.replace(/^\[(.*)\]$/, "$1");
}

/** Path and query as the signature counts them (Signature Version 4, "UriEncode"). */
export function pathOf({ path, query = {} }: SignedRequest): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    [value]
      .flat()
      .map((one) => (one === null ? uriEncode(name) : `${uriEncode(name)}=${uriEncode(`${one}`)}`)),
  );
  return pairs.length === 0 ? path : `${path}?${pairs.join("&")}`;
}

function uriEncode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
