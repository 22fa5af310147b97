import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Rule, type RuleOptions } from "./fault.ts";
import { type Exchange, exchange } from "./fault-exchange.ts";
import { readCall, type S3Call } from "./s3-call.ts";
import type { S3Store } from "./s3-store.ts";

/** Headers that prove or give access: they are not remembered. */
const SECRET_HEADERS = /^(authorization|cookie|x-amz-security-token|x-amz-.*customer-key.*)$/;

function withoutSecrets(headers: IncomingMessage["headers"]): Exchange["headers"] {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !SECRET_HEADERS.test(name)));
}

/**
 * An HTTP proxy in front of a store that does what rules say and remembers what was asked. It forwards the Host header as the
 * client signed it, so that a client which is given `endpoint` as its store is understood by the store itself.
 */
export class FaultProxy {
  readonly endpoint: string;
  /** All requests in the order of their arrival. */
  readonly exchanges: readonly Exchange[];
  readonly #store: S3Store;
  readonly #server: Server;
  readonly #port: number;
  readonly #remembered: Exchange[] = [];
  readonly #problems: unknown[] = [];
  readonly #running = new Set<Promise<void>>();
  #rules: Rule[] = [];

  private constructor(store: S3Store, server: Server, port: number) {
    this.#store = store;
    this.#server = server;
    this.#port = port;
    this.endpoint = `http://127.0.0.1:${port}`;
    this.exchanges = this.#remembered;
  }

  /** Starts a proxy on a free port of loopback. */
  static async open(store: S3Store): Promise<FaultProxy> {
    // No limits of its own: what it lets pass, it lets pass for as long as the ends like.
    const server = createServer({ requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 60_000 });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("the proxy has no port");
    const proxy = new FaultProxy(store, server, address.port);
    server.on("request", (client, reply) => proxy.#accept(client, reply));
    return proxy;
  }

  /** Adds a rule. A request meets the rule that was added first of those that match it and have not been used up. */
  rule(options: RuleOptions): Rule {
    const rule = new Rule(options);
    this.#rules.push(rule);
    return rule;
  }

  /** From now on requests pass as they are. */
  clearRules(): void {
    this.#rules = [];
  }

  /** Forgets the requests that have ended. */
  forget(): void {
    const open = this.#remembered.filter((entry) => !entry.ended);
    this.#remembered.splice(0, this.#remembered.length, ...open);
  }

  /** Cuts every connection and refuses new ones, as a network that is gone. */
  async goOffline(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  /** Listens again at the same address. */
  async goOnline(): Promise<void> {
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
  }

  /** Ends it. Throws what a `before` threw. */
  async close(): Promise<void> {
    if (this.#server.listening) await this.goOffline();
    await Promise.all(this.#running);
    if (this.#problems.length > 0) throw new AggregateError(this.#problems, "a rule's callback failed");
  }

  #accept(client: IncomingMessage, reply: ServerResponse): void {
    const run = this.#carry(client, reply);
    this.#running.add(run);
    void run.finally(() => this.#running.delete(run));
  }

  async #carry(client: IncomingMessage, reply: ServerResponse): Promise<void> {
    const call = readCall(client);
    const rule = this.#rules.find((each) => each.meets(call));
    const others = this.#remembered.filter((entry) => !entry.ended).length;
    const entry: Exchange = {
      ...call,
      at: (this.#remembered.at(-1)?.at ?? 0) + 1,
      headers: withoutSecrets(client.headers),
      fault: rule?.fault?.kind,
      others,
      received: 0,
      sent: 0,
      storeStatus: undefined,
      status: undefined,
      trouble: undefined,
      ended: false,
    };
    this.#remembered.push(entry);
    const { socket } = client;
    const gone = new AbortController();
    // Both ends may go at any moment, by a fault or by the client's own decision.
    client.on("error", () => undefined);
    reply.on("error", () => undefined);
    reply.once("close", () => gone.abort());
    const ends = { client, reply, socket, gone: gone.signal, entry, store: this.#store };
    try {
      await Promise.race([this.#prepare(rule, call), once(gone.signal, "abort")]);
      gone.signal.throwIfAborted();
      await exchange(ends, rule?.fault);
    } catch (error) {
      entry.trouble = error instanceof Error ? error.message : String(error);
      socket.destroy();
    } finally {
      entry.ended = true;
    }
  }

  async #prepare(rule: Rule | undefined, call: S3Call): Promise<void> {
    try {
      await rule?.before?.(call);
    } catch (error) {
      this.#problems.push(error);
      throw error;
    }
  }
}
