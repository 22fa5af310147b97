import { FailureError, fail, systemCode } from "../failing.ts";

/** Why a store could not be reached, for a machine (`details.reason`). */
export type UnreachableReason =
  | "dns"
  | "refused"
  | "cut"
  | "tls"
  | "stalled"
  | "throttled"
  | "busy"
  | "damaged on the way"
  | "odd answer";

/** A fault of the store or of the way to it that time can heal. */
export function unreachable(
  where: string,
  reason: UnreachableReason,
  what: string,
  details: Record<string, unknown> = {},
): FailureError {
  return fail(
    "VAULT_UNREACHABLE",
    `${where}: ${what}.`,
    "Check the connection and the endpoint, then run the same command again: what was sent is kept.",
    { subject: where, details: { reason, ...details } },
  );
}

export function stalled(where: string, connecting: boolean, afterMs: number): FailureError {
  const what = connecting ? "no connection came about" : "no byte moved";
  return unreachable(where, "stalled", `${what} for ${afterMs / 1000} seconds`);
}

/** An answer of something else than an S3 store: a proxy, a hotel's login page, another program on that port. */
export function oddAnswer(where: string, what: string, details: Record<string, unknown> = {}): FailureError {
  return unreachable(where, "odd answer", `the answer is not what an S3 store gives: ${what}`, details);
}

const SYSTEM: Readonly<Record<string, readonly [UnreachableReason, string]>> = {
  ENOTFOUND: ["dns", "the name of the host is not known (no network, or a mistyped endpoint)"],
  EAI_AGAIN: ["dns", "the name of the host cannot be looked up now"],
  ECONNREFUSED: ["refused", "nothing listens there"],
  EHOSTUNREACH: ["refused", "there is no way to the host"],
  ENETUNREACH: ["refused", "there is no network"],
  ENETDOWN: ["refused", "the network is down"],
  ECONNRESET: ["cut", "the connection was cut"],
  ECONNABORTED: ["cut", "the connection was cut"],
  EPIPE: ["cut", "the connection was cut"],
  ERR_STREAM_PREMATURE_CLOSE: ["cut", "the connection was cut"],
  ERR_STREAM_DESTROYED: ["cut", "the connection was cut"],
  ETIMEDOUT: ["stalled", "the host does not answer"],
};

/** TLS faults as Node.js and OpenSSL name them (nodejs.org/api/tls.html, "X509 certificate error codes"). */
const TLS =
  /CERT|TLS|SSL|SELF_SIGNED|ISSUER|UNABLE_TO_VERIFY|EPROTO|CRL|HOSTNAME_MISMATCH|INVALID_CA|PATH_LENGTH/;

/**
 * The failure for an error of the connection, before or in the middle of an answer. The error itself is not kept as a cause: those of the SDK hold
 * the signed request.
 */
export function networkFailure(error: unknown, where: string): FailureError {
  if (error instanceof FailureError) return error;
  const code = connectionCode(error);
  const known = SYSTEM[code];
  if (known !== undefined) return unreachable(where, known[0], `${known[1]} (${code})`, { system: code });
  if (TLS.test(code)) {
    return unreachable(where, "tls", `a secure connection could not be made (${code})`, { system: code });
  }
  if (code.startsWith("HPE_")) return oddAnswer(where, `not HTTP (${code})`, { system: code });
  return unreachable(
    where,
    "cut",
    code === "" ? "the connection failed" : `the connection failed (${code})`,
    {
      system: code,
    },
  );
}

/** Several addresses of one host fail as one AggregateError. */
function connectionCode(error: unknown): string {
  const code = systemCode(error);
  if (code !== undefined) return code;
  if (error instanceof AggregateError) return systemCode(error.errors[0]) ?? "";
  return "";
}
