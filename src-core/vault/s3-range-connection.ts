import net from "node:net";
import { Readable } from "node:stream";
import tls from "node:tls";
import { Pour, type Step } from "./pump-range.ts";
import { bareHost, type HttpAnswer, pathOf, type SignedRequest } from "./s3-http-carrier.ts";
import { announcedLength, ErrorBody, type HttpHead, parseHead } from "./s3-http-head.ts";
import type { Carrier, Phase } from "./s3-watch.ts";

/** As much as Node's own HTTP client takes by default (`--max-http-header-size`). */
const MAX_HEAD = 16 * 1024;
const EMPTY = Buffer.alloc(0);

/** What becomes of bytes that come in. */
type State =
  | { readonly is: "idle" }
  | { readonly is: "head"; readonly done: (head: HttpHead | null) => void }
  | { readonly is: "refusal"; readonly body: ErrorBody; readonly done: () => void }
  | { readonly is: "body"; readonly pour: Pour; readonly done: () => void };

/**
 * A connection that carries ranged GETs one after another. The system writes their bodies straight into the buffers of whoever reads, where
 * Node's HTTP client makes new memory for every 64 KiB and copies it twice: that was most of the work of a download. It takes a 206 of announced
 * length, and refusals; what else there is in HTTP is left to Node's client.
 */
export class RangeConnection implements Carrier {
  phase: Phase = "connect";
  readonly #socket: net.Socket;
  readonly #scratch = Buffer.alloc(MAX_HEAD);
  #head: Buffer = EMPTY;
  #state: State = { is: "idle" };
  /** While this is true, bytes have no place to go to; a TLS connection may bring some all the same. */
  #held = false;
  readonly #overflow: Buffer[] = [];
  #keeps = true;
  #failed: Error | null = null;
  #fail: (error: Error) => void = () => undefined;

  readonly origin: string;

  /** `origin`: where it leads to, as its owner names it. */
  constructor(request: SignedRequest, origin: string) {
    this.origin = origin;
    const onread = {
      buffer: () => this.#room(),
      callback: (count: number, bytes: Uint8Array) => this.#took(count, bytes),
    };
    const secure = request.protocol === "https:";
    const host = bareHost(request);
    const options = {
      host,
      port: request.port ?? (secure ? 443 : 80),
      noDelay: true,
      keepAlive: true,
      onread,
    };
    const connected = () => {
      this.phase = "answer";
    };
    // nodejs.org/api/tls.html has `onread` too; only its types do not.
    this.#socket = secure
      ? tls.connect({ ...options, ...(net.isIP(host) === 0 ? { servername: host } : {}) }, connected)
      : net.connect(options, connected);
    this.#socket.on("error", (error) => this.#end(error));
    this.#socket.on("close", () => this.#end(Object.assign(new Error("closed"), { code: "ECONNRESET" })));
  }

  /** Whether it can carry another request. */
  get usable(): boolean {
    return this.#keeps && this.#failed === null && this.#state.is === "idle" && !this.#held;
  }

  /** While it is idle it neither keeps the process alive nor lasts longer than this. */
  rest(ms: number): void {
    this.#socket.unref();
    this.#socket.setTimeout(ms, () => this.#socket.destroy());
  }

  /** Sends a GET. Answers with an empty body where `pour` is to take it; null when the answer is for Node's client to understand. */
  async ask(request: SignedRequest): Promise<HttpAnswer | null> {
    const lines = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}`);
    const text = [`${request.method} ${pathOf(request)} HTTP/1.1`, ...lines, "", ""];
    // A line break in a header would be a header, or a request, of its own.
    if (text.some((line) => /[^\t\x20-\x7e]/.test(line)))
      throw new TypeError("a header holds what no header may");
    this.#socket.ref();
    this.#socket.setTimeout(0);
    this.#socket.removeAllListeners("timeout");
    if (this.phase !== "connect") this.phase = "answer";
    this.#head = EMPTY;
    const head = await this.#until<HttpHead | null>((done) => {
      this.#state = { is: "head", done };
      this.#socket.write(text.join("\r\n"), "latin1");
    });
    if (head === null || (head.status === 206 && announcedLength(head) === null)) return null;
    this.phase = "receive";
    if (head.headers.connection?.toLowerCase() === "close") this.#keeps = false;
    const body = head.status < 300 ? EMPTY : await this.#refusal(head);
    return { statusCode: head.status, headers: head.headers, body: Readable.from([body]) };
  }

  /** Hands on a body of `size` bytes; its announced length is the caller's to check. Answers how many bytes came. */
  async pour(size: number, consume: Step): Promise<number> {
    const pour = new Pour(size, consume);
    try {
      await this.#until<void>((done) => {
        this.#state = { is: "body", pour, done };
        this.#flow();
      });
      await pour.end();
      return size - pour.left;
    } catch (error) {
      this.destroy();
      throw error;
    } finally {
      await pour.close();
    }
  }

  moved(): number {
    return this.#socket.bytesRead;
  }

  waiting(): boolean {
    return this.#held;
  }

  /** Nothing is written into a buffer any more once this has returned. */
  destroy(): void {
    this.#socket.destroy();
  }

  #end(error: Error): void {
    this.#failed ??= error;
    if (this.#state.is === "refusal") this.#state.done();
    this.#fail(this.#failed);
  }

  /** Runs `begin` and waits until it calls `done`, or the connection fails. */
  #until<T>(begin: (done: (value: T) => void) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#fail = reject;
      if (this.#failed !== null) reject(this.#failed);
      else begin(resolve);
    });
  }

  /** The body of a refusal, which may end with its connection. */
  async #refusal(head: HttpHead): Promise<Buffer> {
    const body = new ErrorBody(head);
    if (announcedLength(head) === null) this.#keeps = false;
    await this.#until<void>((done) => {
      this.#state = { is: "refusal", body, done };
      if (body.complete) done();
      this.#flow();
    });
    this.#state = { is: "idle" };
    return body.bytes;
  }

  /** Takes what was held back, then lets the system read on. */
  #flow(): void {
    this.#held = false;
    for (let bytes = this.#overflow.shift(); bytes !== undefined; bytes = this.#overflow.shift()) {
      this.#take(bytes);
      if (this.#held) return;
    }
    this.#socket.resume();
  }

  /** Where the system is to put what comes next. */
  #room(): Uint8Array {
    return this.#state.is === "body" && !this.#held ? this.#state.pour.room : this.#scratch;
  }

  /** False stops the system from reading on. */
  #took(count: number, bytes: Uint8Array): boolean {
    if (this.#held) this.#overflow.push(Buffer.from(bytes.subarray(0, count)));
    else if (this.#state.is === "body" && bytes.buffer !== this.#scratch.buffer)
      this.#filled(this.#state, count);
    else this.#take(bytes.subarray(0, count));
    return !this.#held;
  }

  /** Takes bytes that lie elsewhere than in the reader's buffer. */
  #take(bytes: Uint8Array): void {
    const state = this.#state;
    switch (state.is) {
      case "head":
        this.#takeHead(bytes, state.done);
        break;
      case "refusal":
        state.body.add(bytes);
        if (state.body.complete) state.done();
        break;
      case "body":
        this.#copy(state, bytes);
        break;
      case "idle":
        // Nobody asked for it.
        this.#socket.destroy();
    }
  }

  #takeHead(bytes: Uint8Array, done: (head: HttpHead | null) => void): void {
    this.#head = Buffer.concat([this.#head, bytes]);
    const end = this.#head.indexOf("\r\n\r\n");
    if (end === -1 && this.#head.length < MAX_HEAD) return;
    this.#held = true;
    this.#state = { is: "idle" };
    if (this.#head.length > end + 4) this.#overflow.push(this.#head.subarray(end + 4));
    done(end === -1 ? null : parseHead(this.#head.toString("latin1", 0, end)));
  }

  #copy(state: Extract<State, { is: "body" }>, bytes: Uint8Array): void {
    const fits = bytes.subarray(0, state.pour.room.length);
    state.pour.room.set(fits);
    this.#filled(state, fits.length);
    const rest = bytes.subarray(fits.length);
    if (rest.length === 0) return;
    if (this.#held) this.#overflow.unshift(Buffer.from(rest));
    else this.#take(rest);
  }

  #filled(state: Extract<State, { is: "body" }>, count: number): void {
    const free = state.pour.took(count);
    if (state.pour.left === 0) {
      this.#state = { is: "idle" };
      state.done();
    } else if (free !== null) {
      this.#held = true;
      free.then(
        () => this.#flow(),
        (error) => this.#socket.destroy(error),
      );
    }
  }
}
