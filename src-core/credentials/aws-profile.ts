import { type FailureError, fail } from "../failing.ts";
import { StoreCredentials } from "./store-credentials.ts";

/** Roles, SSO and programs named in a profile are asked over a network or have to start; none may hold up a vault for ever, milliseconds. */
const DEADLINE_MS = 60_000;

/** The same for one request to AWS on the way. */
const REQUEST_LIMITS = { connectionTimeout: 10_000, requestTimeout: 20_000, throwOnRequestTimeout: true };

type Env = Readonly<Record<string, string | undefined>>;

/**
 * The credentials of an AWS profile as the AWS SDK resolves it: static keys, roles, SSO, web identity, programs. The files are read anew each
 * time, so that a new login is seen. Throws CREDENTIALS_MISSING, or VAULT_UNREACHABLE when AWS could not be asked now. What the SDK or a
 * program named in the profile said is not repeated: it may quote secrets.
 */
export async function profileCredentials(
  profile: string,
  env: Env,
  deadlineMs = DEADLINE_MS,
): Promise<StoreCredentials> {
  const { fromIni } = await import("@aws-sdk/credential-providers");
  const { AWS_SHARED_CREDENTIALS_FILE: filepath, AWS_CONFIG_FILE: configFilepath } = env;
  const provide = fromIni({
    profile,
    ignoreCache: true,
    ...(filepath ? { filepath } : {}),
    ...(configFilepath ? { configFilepath } : {}),
    clientConfig: { requestHandler: REQUEST_LIMITS, maxAttempts: 2 },
    // Where the profile names no region. The SDK's own default is the same, but it warns of it on the program's standard error.
    parentClientConfig: { region: env.AWS_REGION || "us-east-1" },
  });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(tooLate(profile, deadlineMs)), deadlineMs);
  });
  const asked = provide().catch((error: unknown) => {
    throw profileFailure(profile, error);
  });
  try {
    const found = await Promise.race([asked, late]);
    return new StoreCredentials(found, found.expiration);
  } finally {
    clearTimeout(timer);
  }
}

const OFFLINE =
  /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EPIPE|EHOSTUNREACH|ENETUNREACH|ENETDOWN|TimeoutError|socket hang up)\b/;

/** What the SDK says, by its texts in @aws-sdk/credential-provider-* 3.1169, and what to do about it. */
const KNOWN: readonly (readonly [RegExp, (profile: string) => readonly [what: string, nextStep: string]])[] =
  [
    [
      /Could not resolve credentials using profile|could not be found in shared|was not found\.$/,
      (profile) => [
        "is not there, or holds no credentials",
        `Check its name with: aws configure list-profiles; set it up with: aws configure --profile ${profile}`,
      ],
    ],
    [
      /multi-factor authentication/,
      (profile) => [
        "asks for a code of a second factor, which this program cannot give",
        `Get a session token for ${profile} (aws sts get-session-token or assume-role), and use it with --credentials env.`,
      ],
    ],
    [
      /aws sso login|Token is expired|SSO session|SSO Token|sso-session|Sso session|UnauthorizedException/,
      (profile) => ["has no valid SSO session", `Sign in with: aws sso login --profile ${profile}`],
    ],
    [
      /aws login|login session|login_session/i,
      (profile) => ["has no valid sign-in", `Sign in with: aws login --profile ${profile}`],
    ],
    [
      /credential_process|Command failed/,
      () => [
        "names a program (credential_process) that gave no usable credentials",
        "Run that program by hand to see what it says.",
      ],
    ],
    [
      /Detected a cycle|source_profile|credential_source|invalid SSO credentials|Conflicting SSO|Unsupported credential source/i,
      () => ["is not set up soundly", "Check its settings in the AWS configuration files."],
    ],
  ];

/** Refusals of STS and SSO that a new attempt does not mend, by the name of the error. */
const REFUSED =
  /^(AccessDenied|InvalidClientTokenId|SignatureDoesNotMatch|ExpiredToken|InvalidIdentityToken|Forbidden)/;

function profileFailure(profile: string, error: unknown): FailureError {
  const { name, text, status } = described(error);
  if (OFFLINE.test(text) || status === 429 || status >= 500) {
    return fail(
      "VAULT_UNREACHABLE",
      `AWS could not be asked for the credentials of profile ${profile}.`,
      "Check the network connection; it is tried again.",
      { subject: profile },
    );
  }
  const known = KNOWN.find(([pattern]) => pattern.test(text));
  if (known !== undefined) {
    const [what, nextStep] = known[1](profile);
    return missing(profile, what, nextStep);
  }
  if (REFUSED.test(name)) {
    return missing(
      profile,
      `was refused by AWS (${name})`,
      `Check the profile with: aws sts get-caller-identity --profile ${profile}`,
    );
  }
  return missing(
    profile,
    `gave no credentials${name === "" ? "" : ` (${name})`}`,
    `Check the profile with: aws sts get-caller-identity --profile ${profile}`,
  );
}

/** An error of the SDK: its name, all its texts for recognition only, and the HTTP status of the answer or 0. */
function described(error: unknown): {
  readonly name: string;
  readonly text: string;
  readonly status: number;
} {
  if (!(error instanceof Error)) return { name: "", text: String(error), status: 0 };
  const status: unknown = Reflect.get(Object(Reflect.get(error, "$metadata")), "httpStatusCode");
  const text = [error.name, String(Reflect.get(error, "code")), error.message].join(" ");
  return { name: error.name, text, status: typeof status === "number" ? status : 0 };
}

function tooLate(profile: string, deadlineMs: number): FailureError {
  return fail(
    "VAULT_UNREACHABLE",
    `Profile ${profile} gave no credentials within ${deadlineMs / 1000} seconds.`,
    "Check the network connection, and the program that the profile names, if it names one.",
    { subject: profile },
  );
}

function missing(profile: string, what: string, nextStep: string): FailureError {
  return fail("CREDENTIALS_MISSING", `AWS profile ${profile} ${what}.`, nextStep, { subject: profile });
}
