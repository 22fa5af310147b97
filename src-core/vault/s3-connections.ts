import http from "node:http";
import https from "node:https";
import { Exchange } from "./s3-exchange.ts";
import type { HttpAnswer, SignedRequest } from "./s3-http-carrier.ts";
import { RangeConnection } from "./s3-range-connection.ts";

/** Stores close idle connections after some seconds; one that is just being closed would fail the next request. */
const IDLE_MS = 15_000;

/** The connections of one vault, used again and again; to the SDK it is its HTTP handler. */
export class Connections {
  readonly metadata = { handlerProtocol: "http/1.1" };
  readonly #agents = { "http:": new http.Agent(AGENT), "https:": new https.Agent(AGENT) };
  readonly #idle = new Map<string, RangeConnection[]>();
  readonly #open = new Set<RangeConnection>();

  handle(request: SignedRequest, options?: object): Promise<{ response: HttpAnswer }> {
    const exchange: unknown = Reflect.get(Object(options), "exchange");
    if (!(exchange instanceof Exchange)) throw new Error("a request without its exchange");
    return exchange.run(request, this);
  }

  agent({ protocol }: SignedRequest): http.Agent {
    return this.#agents[protocol === "https:" ? "https:" : "http:"];
  }

  /** An idle connection to where the request goes, or a new one. */
  range(request: SignedRequest): RangeConnection {
    const origin = originOf(request);
    const idle = this.#idle.get(origin) ?? [];
    for (let found = idle.pop(); found !== undefined; found = idle.pop()) {
      if (found.usable) return found;
      this.#drop(found);
    }
    const made = new RangeConnection(request, origin);
    this.#open.add(made);
    return made;
  }

  giveBack(connection: RangeConnection): void {
    if (!connection.usable) {
      this.#drop(connection);
      return;
    }
    connection.rest(IDLE_MS);
    const idle = this.#idle.get(connection.origin);
    if (idle === undefined) this.#idle.set(connection.origin, [connection]);
    else idle.push(connection);
  }

  destroy(): void {
    for (const agent of Object.values(this.#agents)) agent.destroy();
    for (const connection of this.#open) connection.destroy();
  }

  updateHttpClientConfig(): void {
    // Its settings are fixed.
  }

  httpHandlerConfigs(): object {
    return {};
  }

  #drop(connection: RangeConnection): void {
    connection.destroy();
    this.#open.delete(connection);
  }
}

const AGENT = {
  keepAlive: true,
  maxSockets: Number.POSITIVE_INFINITY,
  maxFreeSockets: 64,
  timeout: IDLE_MS,
};

function originOf({ protocol, hostname, port }: SignedRequest): string {
  return `${protocol}//${hostname}:${port ?? ""}`;
}
