import type { Fault, Refusal } from "./fault.ts";
import type { Operation } from "./s3-call.ts";

/** A fault with the name under which a matrix lists it. */
interface NamedFault {
  readonly name: string;
  readonly fault: Fault;
}

export const INTERNAL_ERROR: Refusal = { status: 500, code: "InternalError" };
export const SLOW_DOWN: Refusal = { status: 503, code: "SlowDown", retryAfter: 1 };
/** AWS says it with 400, several other stores with 403. */
const EXPIRED_TOKEN: Refusal = { status: 400, code: "ExpiredToken" };
const EXPIRED_TOKEN_403: Refusal = { status: 403, code: "ExpiredToken" };
const CLOCK_SKEW: Refusal = { status: 403, code: "RequestTimeTooSkewed" };
const WRONG_SIGNATURE: Refusal = { status: 403, code: "SignatureDoesNotMatch" };
const ACCESS_DENIED: Refusal = { status: 403, code: "AccessDenied" };
export const NO_SUCH_UPLOAD: Refusal = { status: 404, code: "NoSuchUpload" };

function refuse(refusal: Refusal): NamedFault {
  return { name: `${refusal.status} ${refusal.code}`, fault: { kind: "refuse", refusal } };
}

/** Can befall any request. */
const EVERYWHERE: readonly NamedFault[] = [
  { name: "reset before the request", fault: { kind: "reset", when: "before-request" } },
  { name: "reset before the answer", fault: { kind: "reset", when: "before-response" } },
  { name: "black hole", fault: { kind: "black-hole" } },
  refuse(INTERNAL_ERROR),
  refuse(SLOW_DOWN),
  { name: "500 after success", fault: { kind: "refuse-after-success", refusal: INTERNAL_ERROR } },
  { name: "reply dropped after success", fault: { kind: "drop-reply" } },
  refuse(EXPIRED_TOKEN),
  refuse(EXPIRED_TOKEN_403),
  refuse(CLOCK_SKEW),
  refuse(WRONG_SIGNATURE),
  refuse(ACCESS_DENIED),
];

/** Needs a request with a body. */
const ON_BODY_UP: readonly NamedFault[] = [
  { name: "reset in the request", fault: { kind: "reset", when: "mid-request" } },
  { name: "upload stalls", fault: { kind: "stall-upload" } },
  { name: "slow upload", fault: { kind: "slow", direction: "up", bytesPerSecond: 8 * 2 ** 20 } },
  { name: "503 before the body is read", fault: { kind: "refuse", refusal: SLOW_DOWN, early: true } },
  { name: "bit flipped on the way up", fault: { kind: "flip-upload" } },
];

const ON_UPLOAD: readonly NamedFault[] = [refuse(NO_SUCH_UPLOAD)];

const ON_COMPLETE: readonly NamedFault[] = [
  {
    name: "error inside 200",
    fault: { kind: "error-inside-200", refusal: INTERNAL_ERROR, executed: false },
  },
  {
    name: "error inside 200 after success",
    fault: { kind: "error-inside-200", refusal: INTERNAL_ERROR, executed: true },
  },
  { name: "empty answer", fault: { kind: "empty-answer", executed: false } },
  { name: "empty answer after success", fault: { kind: "empty-answer", executed: true } },
];

/** Needs an answer with a body. */
const ON_BODY_DOWN: readonly NamedFault[] = [
  { name: "reset in the answer", fault: { kind: "reset", when: "mid-response" } },
  { name: "download stalls", fault: { kind: "stall-download" } },
  { name: "slow download", fault: { kind: "slow", direction: "down", bytesPerSecond: 8 * 2 ** 20 } },
  { name: "body cut short", fault: { kind: "truncate", honest: false } },
  { name: "shorter body, announced as such", fault: { kind: "truncate", honest: true } },
  { name: "bit flipped on the way down", fault: { kind: "flip-download" } },
];

/** Needs a request with a Range. */
const ON_RANGE: readonly NamedFault[] = [
  { name: "200 and the whole object", fault: { kind: "whole-for-range" } },
  { name: "another range, truly told", fault: { kind: "other-range", shift: 1 } },
  { name: "wrong Content-Range", fault: { kind: "wrong-content-range", shift: 1 } },
];

const BESIDES: Partial<Record<Operation, readonly NamedFault[]>> = {
  put: ON_BODY_UP,
  "upload-part": [...ON_BODY_UP, ...ON_UPLOAD],
  "list-parts": ON_UPLOAD,
  "complete-upload": [...ON_UPLOAD, ...ON_COMPLETE],
  get: [...ON_BODY_DOWN, ...ON_RANGE],
};

/** Every fault that can befall such a request, each once; those of `get` take it for one with a Range. */
export function faultsFor(operation: Operation): readonly NamedFault[] {
  return [...EVERYWHERE, ...(BESIDES[operation] ?? [])];
}
