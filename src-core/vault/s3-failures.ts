import type { FailureCode } from "../../src-contract/failure.ts";
import { FailureError, fail } from "../failing.ts";
import type { Exchange } from "./s3-exchange.ts";
import { networkFailure, oddAnswer, unreachable } from "./s3-network.ts";
import { OPERATIONS, type Operation } from "./s3-operations.ts";
import { type S3Settings, s3Location } from "./s3-settings.ts";

/** A refusal that the store itself gave, with its HTTP status and its code (`NoSuchKey`); callers that expect one look at these. */
export class StoreRefusal extends FailureError {
  readonly status: number;
  readonly storeCode: string;

  constructor(failure: FailureError, status: number, storeCode: string) {
    super(failure.failure);
    this.status = status;
    this.storeCode = storeCode;
  }
}

/** What was asked of the store. */
export interface Asked {
  readonly settings: S3Settings;
  readonly operation: Operation;
  /** As the vault's callers know it; absent for a request about the bucket. */
  readonly key?: string | undefined;
}

const REFUSED_CREDENTIALS = new Set([
  "ExpiredToken",
  "ExpiredTokenException",
  "InvalidAccessKeyId",
  "InvalidClientTokenId",
  "InvalidToken",
  "RequestExpired",
  "SignatureDoesNotMatch",
  "TokenRefreshRequired",
  "UnrecognizedClientException",
  "UserSuspended",
]);
const THROTTLED = new Set([
  "SlowDown",
  "Throttling",
  "ThrottlingException",
  "TooManyRequests",
  "RequestLimitExceeded",
]);
/** Client errors by their status that another try mends: the body was cut, or another request was in the way. */
const HEALS = new Set([
  "RequestTimeout",
  "IncompleteBody",
  "OperationAborted",
  "ConditionalRequestConflict",
  "TemporaryRedirect",
]);
const OTHER_REGION = new Set([
  "PermanentRedirect",
  "AuthorizationHeaderMalformed",
  "IllegalLocationConstraintException",
  "IncorrectEndpoint",
]);
const FULL = new Set(["QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "StorageFull"]);
/** Refused under status 403 for another reason than a permission. */
const NO_PERMISSION_MATTER = new Set(["InvalidObjectState"]);

/**
 * The failure for a request that did not succeed. Nothing of the SDK's error is kept but the store's code and words: it holds the signed
 * request.
 */
export function requestFailure(asked: Asked, exchange: Exchange, error: unknown): FailureError {
  if (exchange.failure !== null) return exchange.failure;
  if (error instanceof FailureError) return error;
  const where = s3Location(asked.settings);
  if (fieldOf(error, "name") === "CredentialsProviderError") {
    return fail(
      "CREDENTIALS_MISSING",
      `No credentials for ${where} could be found.`,
      giveCredentials(asked),
      { subject: where },
    );
  }
  if (!exchange.began) return unsent(error);
  if (exchange.status === null) return networkFailure(error, where);
  const code = said(error, "Code");
  if (code === "" && exchange.status < 300) {
    // The SDK's own word for an answer without a body.
    return fieldOf(error, "message") === "S3 aborted request"
      ? unreachable(where, "busy", `the answer to ${asked.operation} is empty`)
      : bodyFailure(error, where);
  }
  // Amazon may find out in the middle of a 200 that it cannot do what was asked, and then says so in its body.
  const status = exchange.status < 300 ? 500 : exchange.status;
  const silent = asked.operation === "HeadObject" && !isPage(exchange);
  if (code === "" && !silent && status < 500 && status !== 429) {
    return oddAnswer(where, `status ${status} without an S3 error`, { status });
  }
  const refusal = answered(asked, exchange, status, code, fieldOf(error, "message"), error);
  return new StoreRefusal(refusal, status, code);
}

/** A page for a person, such as a proxy's, by its head alone: no store sends one without a header of its own. */
function isPage({ headers }: Exchange): boolean {
  const own = Object.keys(headers).some((name) => name.startsWith("x-amz-"));
  return !own && /^text\/html\b/i.test(headers["content-type"] ?? "");
}

/** The SDK could not make a request of it; its error may hold the credentials. */
function unsent(error: unknown): FailureError {
  const words = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return fail(
    "INTERNAL",
    `A request for the store could not be made (${words}).`,
    "Report it with this message.",
  );
}

function bodyFailure(error: unknown, where: string): FailureError {
  return error instanceof Error && "code" in error
    ? networkFailure(error, where)
    : oddAnswer(where, "it cannot be read");
}

function answered(
  asked: Asked,
  exchange: Exchange,
  status: number,
  code: string,
  words: string,
  error: unknown,
): FailureError {
  const { settings, operation, key } = asked;
  const where = s3Location(settings);
  const subject = key ?? where;
  const named = code === "" ? `status ${status}` : code;
  const details = { operation, status, ...(code === "" ? {} : { storeCode: code }), ...requestId(exchange) };
  const refuse = (
    failureCode: FailureCode,
    message: string,
    nextStep: string,
    more: Record<string, unknown> = {},
  ) => fail(failureCode, message, nextStep, { subject, details: { ...details, ...more } });

  if (REFUSED_CREDENTIALS.has(code) || status === 401) {
    return refuse(
      "CREDENTIALS_REFUSED",
      `${where} refuses the credentials (${named}).`,
      giveCredentials(asked),
    );
  }
  if (code === "RequestTimeTooSkewed") {
    const theirs = said(error, "ServerTime") || (exchange.headers.date ?? "unknown");
    const ours = new Date().toISOString();
    return refuse(
      "CLOCK_SKEWED",
      `This device's clock says ${ours}, the store's ${theirs}; ${where} refuses requests that far apart.`,
      "Set this device's clock, then run the same command again.",
      { device: ours, store: theirs },
    );
  }
  if (code === "NoSuchBucket") {
    return refuse(
      "BUCKET_NOT_FOUND",
      `There is no bucket ${settings.bucket} ${settings.endpoint === null ? "at Amazon S3" : `at ${settings.endpoint}`}.`,
      "Check the bucket's name, the endpoint and the account of the credentials.",
    );
  }
  if (OTHER_REGION.has(code)) {
    const told = exchange.headers["x-amz-bucket-region"] ?? said(error, "Region");
    const region = /^[\w-]+$/.test(told) && told.length <= MAX_NAME ? told : "";
    return refuse(
      "STORE_REFUSED",
      `Bucket ${settings.bucket} is not in region ${settings.region}${region === "" ? "" : ` but in ${region}`} (${named}).`,
      `Add the vault again with --region ${region === "" ? "REGION" : region}.`,
      region === "" ? {} : { region },
    );
  }
  if (FULL.has(code) || status === 507) {
    return refuse(
      "DISK_FULL",
      `${where} takes no more: its quota is used up (${named}).`,
      "Ask its owner for more room, then run the same command again.",
    );
  }
  if (THROTTLED.has(code) || status === 429 || status === 503) {
    return unreachable(where, "throttled", `the store asks to slow down (${named})`, {
      ...details,
      ...retryAfter(exchange),
    });
  }
  if ((status >= 500 && status !== 501) || HEALS.has(code)) {
    return unreachable(where, "busy", `the store could not answer ${operation} now (${named})`, {
      ...details,
      ...retryAfter(exchange),
    });
  }
  if (status === 403 && operation === "DeleteObjectVersion" && /object lock/i.test(words)) {
    return refuse(
      "PERMISSION_MISSING",
      `${key ?? "An object"} in ${where} is locked: it can be deleted once its lock has ended.`,
      "Wait for that; a lock of mode GOVERNANCE may be passed over by whoever has s3:BypassGovernanceRetention.",
    );
  }
  if (status === 403 && !NO_PERMISSION_MATTER.has(code)) return permissionMissing(asked, words, details);
  return refuse(
    "STORE_REFUSED",
    `${where} refuses ${operation}${key === undefined ? "" : ` of ${key}`} (${named})${words === "" || words === "UnknownError" ? "" : `: ${quotable(words)}`}.`,
    "Check the vault's settings (region, storage class, encryption) with the owner of the bucket.",
  );
}

/** As much of what a store says as goes into a failure: of a name such as a code, and of its words to a person. */
const MAX_NAME = 128;
const WORDS = /^(.{300}).+$/su;

/** A store's words, without what a request proves itself by should they say it back: the header that signs it, and what is as long as a token. */
function quotable(words: string): string {
  return words
    .replace(/AWS4-.*$/s, "...")
    .replace(/[\w+/=%~-]{32,}/g, "...")
    .replace(/\.$/, "")
    .replace(WORDS, "$1 ...");
}

/** The failure that names what the credentials may not do, and on what. */
export function permissionMissing(
  asked: Asked,
  words: string,
  details: Record<string, unknown> = {},
): FailureError {
  const { settings, operation, key } = asked;
  const need = OPERATIONS[operation];
  // Amazon names the action where it is another one, such as kms:GenerateDataKey.
  const permission = /not authorized to perform: ([\w-]{1,32}:\w{1,64})/.exec(words)?.[1] ?? need.permission;
  const objects = `arn:aws:s3:::${settings.bucket}/${settings.prefix === null ? "" : `${settings.prefix}/`}*`;
  const resource = need.on === "objects" ? objects : `arn:aws:s3:::${settings.bucket}`;
  return fail(
    "PERMISSION_MISSING",
    `The credentials may not do ${operation}${key === undefined ? "" : ` of ${key}`} in ${s3Location(settings)}: ${permission} is missing.`,
    `Ask the owner of the bucket for ${permission} on ${resource}, then run the same command again.`,
    { subject: key ?? s3Location(settings), details: { ...details, operation, permission, resource } },
  );
}

function giveCredentials({ settings }: Asked): string {
  return `Give it valid ones with: strongroom vault set-credentials ${settings.name ?? "NAME"}`;
}

/** Seconds or a date (RFC 9110, section 10.2.3). */
function retryAfter(exchange: Exchange): { readonly retryAfterMs?: number } {
  const text = exchange.headers["retry-after"];
  if (text === undefined) return {};
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) && ms > 0 ? { retryAfterMs: ms } : {};
}

function requestId(exchange: Exchange): { readonly requestId?: string } {
  const id = exchange.headers["x-amz-request-id"];
  return id === undefined ? {} : { requestId: id.slice(0, MAX_NAME) };
}

/** A name that the store gave in its error, cut off where no store's would be as long. */
function said(error: unknown, name: string): string {
  return fieldOf(error, name).slice(0, MAX_NAME);
}

/** A text field of the SDK's error; empty when it has none. */
function fieldOf(error: unknown, name: string): string {
  const value: unknown = error instanceof Error ? Reflect.get(error, name) : undefined;
  return typeof value === "string" ? value : "";
}
