import http, { type ClientRequest, type IncomingMessage } from "node:http";
import https from "node:https";
import type { CancelSignal } from "../../src-contract/progress.ts";
import { asFailure, cancelled, type FailureError } from "../failing.ts";
import type { Pace } from "../ports.ts";
import { networkFailure, stalled } from "./s3-network.ts";
import type { S3Limits } from "./s3-settings.ts";

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
  readonly body: IncomingMessage;
}

/** Hands bytes to the connection; settles once the system has taken them, so that the buffer may be used again. */
export type Send = (bytes: Uint8Array) => Promise<void>;

export interface ExchangePlan {
  readonly limits: S3Limits;
  /** Longest wait for the answer once all is sent, in milliseconds. */
  readonly answerMs: number;
  /** The store, for failures. */
  readonly where: string;
  readonly signal?: CancelSignal | undefined;
  /** Streams the body, whose size the request's Content-Length tells. What it throws ends the request and is its failure. */
  readonly body?: ((send: Send) => Promise<void>) | undefined;
  /** Awaited before bytes of the body go out. */
  readonly pace?: Pace | undefined;
  /** Told as the system takes bytes of the body. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/** So small that a slow line (9 KB/s in each lane) still shows a sign of life within the stall limit, so large that the calls cost nothing. */
const SLICE = 256 * 1024;

/** Thrown into a body that need not be sent on, since the store has refused it already. */
const REFUSED_EARLY = Symbol("refused early");

type Phase = "connect" | "ours" | "send" | "answer" | "receive";

/**
 * One HTTP request and its answer over a shared agent. Unlike the SDK's own handler it knows when the system has taken a buffer, whom a
 * silence is to be laid to, and what ended it; a body that stops in the middle of an answer ends it too.
 */
export class Exchange {
  /** Why it ended before its time, other than by an answer. */
  failure: FailureError | null = null;
  /** Whether anything was tried over the network. */
  began = false;
  /** Of the answer, once there is one. */
  status: number | null = null;
  headers: Record<string, string> = {};
  readonly #plan: ExchangePlan;
  #request: ClientRequest | null = null;
  #response: IncomingMessage | null = null;
  #reject: (error: unknown) => void = () => undefined;
  #dropWrite: (reason: unknown) => void = () => undefined;
  /** Settles once the body's source is read no more, so that it can be closed. */
  #bodyDone: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #phase: Phase = "connect";
  #sent = 0;
  #bodySent = false;
  #moved = -1;
  #since = 0;

  constructor(plan: ExchangePlan) {
    this.#plan = plan;
  }

  /** Sends the request; answers once the head of the answer is there. Called once. When it settles, the body is read no more. */
  run(request: SignedRequest, agent: http.Agent): Promise<{ response: HttpAnswer }> {
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      const { signal, limits } = this.#plan;
      if (signal?.aborted) {
        this.#end(cancelled());
        return;
      }
      const transport = request.protocol === "https:" ? https : http;
      const sent = transport.request({
        method: request.method,
        host: request.hostname.replace(/^\[(.*)\]$/, "$1"),
        port: request.port,
        path: request.path + queryString(request.query),
        headers: request.headers,
        agent,
      });
      this.#request = sent;
      this.began = true;
      const onAbort = () => this.#end(cancelled());
      signal?.addEventListener("abort", onAbort, { once: true });
      const shortest = Math.min(limits.connectMs, limits.stallMs, this.#plan.answerMs);
      this.#enter("connect");
      this.#timer = setInterval(() => this.#look(), Math.ceil(shortest / 4));
      sent.once("close", () => {
        clearInterval(this.#timer);
        signal?.removeEventListener("abort", onAbort);
        this.#dropWrite(REFUSED_EARLY);
      });
      sent.on("error", (error) => this.#end(networkFailure(error, this.#plan.where)));
      const sending = this.#send(sent, request.body);
      sending.catch((error) => {
        if (error !== REFUSED_EARLY) this.#end(asFailure(error));
      });
      sent.once("response", (response) => {
        void this.#answered(response, sending).then((answer) => resolve({ response: answer }), reject);
      });
    });
  }

  /** Gives up what is left of it; nothing to do after a whole answer. */
  close(): void {
    if (this.#response?.complete !== true || !this.#bodySent) this.#request?.destroy();
    clearInterval(this.#timer);
  }

  #end(failure: FailureError): void {
    this.failure ??= failure;
    this.#dropWrite(this.failure);
    this.#request?.destroy();
    void this.#bodyDone.then(() => this.#reject(this.failure));
  }

  async #answered(response: IncomingMessage, sending: Promise<void>): Promise<HttpAnswer> {
    this.#response = response;
    this.status = response.statusCode ?? 0;
    this.headers = flatHeaders(response);
    if (this.status >= 300) {
      // The connection cannot be used again with half a body on it.
      response.once("end", () => this.#bodySent || this.#request?.destroy());
      this.#dropWrite(REFUSED_EARLY);
      await this.#bodyDone;
    } else {
      await sending;
    }
    this.#enter("receive");
    return { statusCode: this.status, headers: this.headers, body: response };
  }

  async #send(request: ClientRequest, whole: unknown): Promise<void> {
    await connected(request);
    const { body } = this.#plan;
    if (body !== undefined) {
      this.#enter("ours");
      const pumped = body((bytes) => this.#write(request, bytes));
      this.#bodyDone = pumped.catch(() => undefined);
      await pumped;
    } else if (whole !== undefined && whole !== null) {
      await this.#write(request, typeof whole === "string" ? Buffer.from(whole) : (whole as Uint8Array));
    }
    request.end();
    this.#bodySent = true;
    if (this.#response === null) this.#enter("answer");
  }

  async #write(request: ClientRequest, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += SLICE) {
      const slice = bytes.subarray(at, at + SLICE);
      this.#enter("ours");
      await this.#plan.pace?.(slice.length);
      this.#enter("send");
      await new Promise<void>((resolve, reject) => {
        if (this.failure !== null || request.destroyed || this.#refused())
          return reject(this.failure ?? REFUSED_EARLY);
        this.#dropWrite = reject;
        // A failed write ends the connection, whose own error tells more.
        request.write(slice, (error) => (error === null || error === undefined ? resolve() : undefined));
      });
      this.#sent += slice.length;
      this.#plan.onBytes?.(slice.length);
    }
    this.#dropWrite = () => undefined;
    this.#enter("ours");
  }

  #refused(): boolean {
    return this.status !== null && this.status >= 300;
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    this.#since = performance.now();
  }

  /** Ends the exchange when it is the store's or the network's turn and nothing has moved for too long. */
  #look(): void {
    const { limits, answerMs, where } = this.#plan;
    const moved = this.#sent + (this.#request?.socket?.bytesRead ?? 0);
    const ourTurn =
      this.#phase === "ours" || (this.#phase === "receive" && (this.#response?.readableLength ?? 0) > 0);
    if (moved !== this.#moved || ourTurn) {
      this.#moved = moved;
      this.#since = performance.now();
      return;
    }
    const connecting = this.#phase === "connect";
    const limit = connecting ? limits.connectMs : this.#phase === "answer" ? answerMs : limits.stallMs;
    if (performance.now() - this.#since >= limit) this.#end(stalled(where, connecting, limit));
  }
}

/** The SDK's HTTP handler: one agent, whose connections are used again. */
export class StoreHandler {
  readonly metadata = { handlerProtocol: "http/1.1" };
  readonly #agents: { readonly "http:": http.Agent; readonly "https:": https.Agent };

  constructor() {
    // Stores close idle connections after some seconds; one that is just being closed would fail the next request.
    const options = {
      keepAlive: true,
      maxSockets: Number.POSITIVE_INFINITY,
      maxFreeSockets: 64,
      timeout: 15_000,
    };
    this.#agents = { "http:": new http.Agent(options), "https:": new https.Agent(options) };
  }

  handle(request: SignedRequest, options?: object): Promise<{ response: HttpAnswer }> {
    const exchange: unknown = Reflect.get(Object(options), "exchange");
    if (!(exchange instanceof Exchange)) throw new Error("a request without its exchange");
    return exchange.run(request, this.#agents[request.protocol === "https:" ? "https:" : "http:"]);
  }

  destroy(): void {
    for (const agent of Object.values(this.#agents)) agent.destroy();
  }

  updateHttpClientConfig(): void {
    // Its settings are fixed.
  }

  httpHandlerConfigs(): object {
    return {};
  }
}

function connected(request: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
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

/** As the signature counts it (Signature Version 4, "UriEncode"). */
function queryString(query: SignedRequest["query"] = {}): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    [value]
      .flat()
      .map((one) => (one === null ? uriEncode(name) : `${uriEncode(name)}=${uriEncode(`${one}`)}`)),
  );
  return pairs.length === 0 ? "" : `?${pairs.join("&")}`;
}

function uriEncode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
