import type { Operation, S3Call } from "./s3-call.ts";

/** What the store is made to say in refusing a request. */
export interface Refusal {
  readonly status: number;
  /** S3's own code, such as SlowDown. */
  readonly code: string;
  readonly message?: string;
  /** In seconds, as the header Retry-After. */
  readonly retryAfter?: number;
}

/** An answer of the store as a test may change it before the client sees it. */
export interface Answer {
  status: number;
  /** Names in lower case; Content-Length follows the body. */
  headers: Record<string, string>;
  body: Buffer;
}

/**
 * One thing that goes wrong. "Executed" says whether the store has done what it was asked. Where `afterBytes` or `atByte` is
 * left out, it happens in the middle of the body.
 */
export type Fault =
  /** The connection is reset: with the head of the request; in its body; after its body, not executed; in the answer. */
  | {
      readonly kind: "reset";
      readonly when: "before-request" | "mid-request" | "before-response" | "mid-response";
      readonly afterBytes?: number;
    }
  /** The request is taken in whole, not executed, never answered. */
  | { readonly kind: "black-hole" }
  /** The body of the request is no longer read from here on; nothing is executed. */
  | { readonly kind: "stall-upload"; readonly afterBytes?: number }
  /** The body of the answer stops here; the connection stays. */
  | { readonly kind: "stall-download"; readonly afterBytes?: number }
  | { readonly kind: "slow"; readonly direction: "up" | "down"; readonly bytesPerSecond: number }
  /** Not executed; `early` answers before the body is read and closes the connection, as a store under load does. */
  | { readonly kind: "refuse"; readonly refusal: Refusal; readonly early?: boolean }
  /** Executed, then refused all the same. */
  | { readonly kind: "refuse-after-success"; readonly refusal: Refusal }
  /** Executed; the connection is closed in place of the answer. */
  | { readonly kind: "drop-reply" }
  /** 200 and the whole object where a range was asked for. */
  | { readonly kind: "whole-for-range" }
  /** 206 with the bytes `shift` further on, the header Content-Range telling so truly. */
  | { readonly kind: "other-range"; readonly shift: number }
  /** 206 with the right bytes and a Content-Range that says they lie `shift` further on. */
  | { readonly kind: "wrong-content-range"; readonly shift: number }
  /** A shorter body: `honest` announces its true length, else the connection ends before the announced one. */
  | { readonly kind: "truncate"; readonly honest: boolean; readonly afterBytes?: number }
  | { readonly kind: "flip-upload"; readonly atByte?: number }
  | { readonly kind: "flip-download"; readonly atByte?: number }
  /** 200, and the body says that it failed: S3's way when a Complete fails after the answer had begun. */
  | { readonly kind: "error-inside-200"; readonly refusal: Refusal; readonly executed: boolean }
  /** 200 without a body. */
  | { readonly kind: "empty-answer"; readonly executed: boolean }
  /** Executed; the answer is what `change` makes of the store's. */
  | { readonly kind: "rewrite"; readonly change: (answer: Answer) => void };

/** Which requests a rule is about; what is left out fits all. */
interface Match {
  readonly method?: string;
  readonly operation?: Operation | readonly Operation[];
  readonly key?: RegExp;
  readonly part?: number;
  /** Only requests with a Range header, or only those without. */
  readonly ranged?: boolean;
}

export interface RuleOptions extends Match {
  /** The first of the matching requests that is met, counted from 1 (the default). */
  readonly nth?: number;
  /** How many of them are met from there on: 1 unless said. */
  readonly times?: number;
  /** Run before the request is forwarded, which waits for it. */
  readonly before?: (call: S3Call) => void | Promise<void>;
  readonly fault?: Fault;
}

/** A rule in force; `fired` counts the requests that met it. */
export class Rule {
  readonly before: RuleOptions["before"];
  readonly fault: Fault | undefined;
  readonly #options: RuleOptions;
  #seen = 0;
  #fired = 0;

  constructor(options: RuleOptions) {
    this.#options = options;
    this.before = options.before;
    this.fault = options.fault;
  }

  get fired(): number {
    return this.#fired;
  }

  /** Counts the request if it matches; answers whether the rule is for this one. */
  meets(call: S3Call): boolean {
    if (!this.#matches(call)) return false;
    this.#seen += 1;
    const { nth = 1, times = 1 } = this.#options;
    if (this.#seen < nth || this.#fired >= times) return false;
    this.#fired += 1;
    return true;
  }

  #matches(call: S3Call): boolean {
    const { method, operation, key, part, ranged } = this.#options;
    const operations = typeof operation === "string" ? [operation] : operation;
    return (
      (method === undefined || method === call.method) &&
      (operations === undefined || operations.includes(call.operation)) &&
      (key === undefined || key.test(call.key)) &&
      (part === undefined || part === call.part) &&
      (ranged === undefined || ranged === (call.range !== undefined))
    );
  }
}
