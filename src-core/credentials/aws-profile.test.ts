import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { FailureError } from "../failing.ts";
import { profileCredentials } from "./aws-profile.ts";

const ID = "AKIAIOSFODNN7EXAMPLE";
const SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const TOKEN = "IQoJb3JpZ2luX2VjEXAMPLETOKEN";

const folder = mkdtempSync(join(tmpdir(), "strongroom-profiles-"));
const configFile = join(folder, "config");
const credentialsFile = join(folder, "credentials");
const env = { AWS_CONFIG_FILE: configFile, AWS_SHARED_CREDENTIALS_FILE: credentialsFile };

/** AWS STS as far as AssumeRole goes; `answer` says what it does. */
const sts = createServer((_request, response) => {
  response.writeHead(answer.status, { "content-type": "text/xml" }).end(answer.body);
});
let answer = { status: 200, body: "" };

const REFUSAL = `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>SignatureDoesNotMatch</Code><Message>The canonical string should have been x-amz-security-token:${TOKEN} ${SECRET}</Message>
</Error></ErrorResponse>`;

beforeAll(async () => {
  await new Promise<void>((resolve) => {
    sts.listen(0, "127.0.0.1", resolve);
  });
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  vi.stubEnv("AWS_ENDPOINT_URL_STS", `http://127.0.0.1:${(sts.address() as AddressInfo).port}`);
  vi.stubEnv("HOME", folder);
});
afterEach(() => {
  answer = { status: 200, body: "" };
});
afterAll(() => {
  sts.close();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

function config(text: string): void {
  writeFileSync(configFile, text);
  writeFileSync(
    credentialsFile,
    `[audit]\naws_access_key_id = ${ID}\naws_secret_access_key = ${SECRET}\naws_session_token = ${TOKEN}\n`,
  );
}

async function failureOf(profile: string, deadlineMs?: number) {
  const error: unknown = await profileCredentials(profile, env, deadlineMs).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof FailureError)) throw new Error(`should have been a Failure: ${String(error)}`);
  const shown =
    inspect(error, { depth: null, showHidden: true }) + JSON.stringify(error.failure) + error.stack;
  for (const secret of [SECRET, TOKEN]) expect(shown).not.toContain(secret);
  return error.failure;
}

describe("an AWS profile", () => {
  test("with static keys gives them; changed files are seen at the next call", async () => {
    config("");
    expect({ ...(await profileCredentials("audit", env)) }).toEqual({
      accessKeyId: ID,
      secretAccessKey: SECRET,
      sessionToken: TOKEN,
    });
    writeFileSync(credentialsFile, "[audit]\naws_access_key_id = AKIANEW\naws_secret_access_key = new\n");
    expect({ ...(await profileCredentials("audit", env)) }).toEqual({
      accessKeyId: "AKIANEW",
      secretAccessKey: "new",
    });
  });

  test("with a role gives the role's credentials and their end", async () => {
    config("[profile role]\nrole_arn = arn:aws:iam::123456789012:role/Auditor\nsource_profile = audit\n");
    answer.body = `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
      <AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey><SessionToken>role-token</SessionToken>
      <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`;
    expect({ ...(await profileCredentials("role", env)) }).toEqual({
      accessKeyId: "ASIAROLE",
      secretAccessKey: "role-secret",
      sessionToken: "role-token",
      expiration: new Date("2099-01-01T00:00:00Z"),
    });
  });

  test("with a program gives what the program answers", async () => {
    config(
      `[profile program]\ncredential_process = echo '{"Version":1,"AccessKeyId":"ASIAPROGRAM","SecretAccessKey":"of-program"}'\n`,
    );
    expect((await profileCredentials("program", env)).secretAccessKey).toBe("of-program");
  });
});

describe("a profile that gives no credentials says why and what to do, and nothing of a secret", () => {
  const role = "role_arn = arn:aws:iam::123456789012:role/Auditor";
  test.each([
    ["nobody", "", "is not there", "aws configure list-profiles"],
    [
      "half",
      "[profile half]\naws_access_key_id = x\nregion = us-east-1",
      "holds no credentials",
      "aws configure",
    ],
    [
      "mfa",
      `[profile mfa]\n${role}\nsource_profile = audit\nmfa_serial = arn:aws:iam::1:mfa/x`,
      "second factor",
      "--credentials env",
    ],
    [
      "sso",
      "[profile sso]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n[sso-session s]\nsso_region = us-east-1\nsso_start_url = https://example.invalid/start",
      "SSO",
      "aws sso login --profile sso",
    ],
    [
      "cycle",
      `[profile cycle]\n${role}\nsource_profile = other\n[profile other]\n${role}\nsource_profile = cycle`,
      "not set up soundly",
      "settings",
    ],
    [
      "failing",
      `[profile failing]\ncredential_process = sh -c 'echo ${SECRET} >&2; exit 3'`,
      "names a program",
      "by hand",
    ],
    ["babbling", `[profile babbling]\ncredential_process = echo ${SECRET}`, "names a program", "by hand"],
  ])("%s", async (profile, text, what, nextStep) => {
    config(text);
    const failure = await failureOf(profile);
    expect(failure).toMatchObject({ code: "CREDENTIALS_MISSING", subject: profile });
    expect(failure.message).toContain(what);
    expect(failure.nextStep).toContain(nextStep);
  });

  test("a role that AWS refuses names the refusal", async () => {
    config(`[profile role]\n${role}\nsource_profile = audit`);
    answer = { status: 403, body: REFUSAL };
    const failure = await failureOf("role");
    expect(failure.code).toBe("CREDENTIALS_MISSING");
    expect(failure.message).toContain("SignatureDoesNotMatch");
  });
});

describe("what can heal is no missing credential", () => {
  const text = "[profile role]\nrole_arn = arn:aws:iam::123456789012:role/Auditor\nsource_profile = audit";

  test("AWS that is overloaded", async () => {
    config(text);
    answer = { status: 503, body: "" };
    expect((await failureOf("role")).code).toBe("VAULT_UNREACHABLE");
  });

  test("a network without AWS", async () => {
    config(text);
    vi.stubEnv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1");
    expect((await failureOf("role")).code).toBe("VAULT_UNREACHABLE");
  });

  test("a program that does not end is not waited for", async () => {
    config("[profile slow]\ncredential_process = sleep 5");
    const failure = await failureOf("slow", 200);
    expect(failure.code).toBe("VAULT_UNREACHABLE");
    expect(failure.message).toContain("0.2 seconds");
  });
});
