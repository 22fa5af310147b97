import { Readable } from "node:stream";
import type { CancelSignal } from "../../src-contract/progress.ts";
import { cancelled, FailureError } from "../failing.ts";
import type { Step } from "./pump-range.ts";
import type { Connections } from "./s3-connections.ts";
import { type BodyPlan, type HttpAnswer, HttpCarrier, type SignedRequest } from "./s3-http-carrier.ts";
import { networkFailure, oddAnswer, stalled } from "./s3-network.ts";
import { RangeConnection } from "./s3-range-connection.ts";
import type { S3Limits } from "./s3-settings.ts";
import { type Carrier, StallWatch } from "./s3-watch.ts";

export interface ExchangePlan extends BodyPlan {
  readonly limits: S3Limits;
  /** Longest wait for the answer once all is sent, in milliseconds. */
  readonly answerMs: number;
  /** The store, for failures. */
  readonly where: string;
  readonly signal?: CancelSignal | undefined;
  /** The answer is a range, and `pour` will take it. */
  readonly ranged?: boolean | undefined;
}

/** More than any answer that is read whole: a listing of 1,000 keys, each byte of them escaped, has 4 MB. */
const MAX_WHOLE = 16 * 1024 * 1024;

/** One HTTP request and its answer, up to the last byte of its body; it knows what ended it before its time. */
export class Exchange {
  /** Why it ended, other than by an answer. */
  failure: FailureError | null = null;
  /** Whether anything was tried over the network. */
  began = false;
  /** Of the answer, once there is one. */
  status: number | null = null;
  headers: Record<string, string> = {};
  readonly #plan: ExchangePlan;
  readonly #onAbort = () => this.#end(cancelled());
  #connections: Connections | null = null;
  #carrier: HttpCarrier | RangeConnection | null = null;
  #watch: StallWatch | null = null;

  constructor(plan: ExchangePlan) {
    this.#plan = plan;
  }

  /** Sends the request; answers once the head of the answer is there. Called once. When it settles, the body is read no more. */
  async run(request: SignedRequest, connections: Connections): Promise<{ response: HttpAnswer }> {
    this.#connections = connections;
    const { signal, ranged } = this.#plan;
    if (signal?.aborted) this.#onAbort();
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    try {
      const over = ranged === true ? await this.#overRange(request, connections) : null;
      const response = over ?? (await this.#overHttp(request, connections));
      if (this.failure !== null) throw this.failure;
      this.status = response.statusCode;
      this.headers = response.headers;
      return { response };
    } catch (error) {
      if (this.began) this.failure ??= this.#failureOf(error);
      throw this.failure ?? error;
    }
  }

  /**
   * Hands the body of the answer on as `pourStream` does; answers how many bytes came. Throws what `consume` threw, VAULT_UNREACHABLE for a body that
   * breaks off, stalls or is too long.
   */
  async pour(size: number, consume: Step): Promise<number> {
    let ours: { readonly error: unknown } | null = null;
    try {
      if (this.#carrier === null) throw new Error("no answer yet");
      return await this.#carrier.pour(size, async (at, bytes) => {
        try {
          await consume(at, bytes);
        } catch (error) {
          ours = { error };
          throw error;
        }
      });
    } catch (error) {
      if (ours !== null) throw (ours as { readonly error: unknown }).error;
      if (error instanceof RangeError) throw oddAnswer(this.#plan.where, error.message);
      throw this.failure ?? this.#failureOf(error);
    }
  }

  /** Gives up what is left of it, or gives the connection back. */
  close(): void {
    this.#watch?.stop();
    this.#plan.signal?.removeEventListener("abort", this.#onAbort);
    if (this.#carrier instanceof RangeConnection) this.#connections?.giveBack(this.#carrier);
    else this.#carrier?.destroy();
    this.#carrier = null;
  }

  #failureOf(error: unknown): FailureError {
    return error instanceof FailureError ? error : networkFailure(error, this.#plan.where);
  }

  #end(failure: FailureError): void {
    this.failure ??= failure;
    this.#carrier?.destroy();
  }

  #carriedBy<C extends HttpCarrier | RangeConnection>(carrier: C): C {
    const { limits, answerMs, where } = this.#plan;
    this.#watch?.stop();
    this.#carrier = carrier;
    this.began = true;
    this.#watch = new StallWatch(carrier satisfies Carrier, limits, answerMs, (connecting, afterMs) =>
      this.#end(stalled(where, connecting, afterMs)),
    );
    if (this.failure !== null) throw this.failure;
    return carrier;
  }

  /** The body as it is read to be understood; `pour` does not take this way. A store could fill the memory otherwise. */
  async *#whole(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let size = 0;
    for await (const piece of body) {
      size += piece.length;
      if (size > MAX_WHOLE) {
        this.#end(oddAnswer(this.#plan.where, `more than ${MAX_WHOLE} bytes, and no end`));
        throw this.failure;
      }
      yield piece;
    }
  }

  /** Null when the answer is not one for such a connection: it is asked for again. */
  async #overRange(request: SignedRequest, connections: Connections): Promise<HttpAnswer | null> {
    const connection = this.#carriedBy(connections.range(request));
    const answer = await connection.ask(request);
    if (answer !== null) return answer;
    connection.destroy();
    connections.giveBack(connection);
    return null;
  }

  async #overHttp(request: SignedRequest, connections: Connections): Promise<HttpAnswer> {
    const carrier = new HttpCarrier(request, connections.agent(request), this.#plan);
    const answer = await this.#carriedBy(carrier).answer(request.body);
    return { ...answer, body: Readable.from(this.#whole(answer.body), { objectMode: false }) };
  }
}
