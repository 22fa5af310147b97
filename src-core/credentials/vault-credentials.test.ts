import { inspect } from "node:util";
import { S3Client } from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import { FailureError, fail } from "../failing.ts";
import {
  credentialSourceSchema,
  newKeychainSource,
  parseCredentialSource,
  sourceText,
} from "./credential-source.ts";
import { MemorySecrets, type SecretStore } from "./secret-store.ts";
import { StoreCredentials } from "./store-credentials.ts";
import { VaultCredentials } from "./vault-credentials.ts";

const ID = "AKIAIOSFODNN7EXAMPLE";
const SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const TOKEN = `${"IQoJb3JpZ2luX2VjEXAMPLE".repeat(180)}==`;
const SOURCE = newKeychainSource("acme", ID, () => "0001");

const unusable: SecretStore = {
  get: () => Promise.reject(fail("KEYCHAIN_UNAVAILABLE", "none", "none")),
  set: () => Promise.reject(fail("KEYCHAIN_UNAVAILABLE", "none", "none")),
  delete: () => Promise.reject(fail("KEYCHAIN_UNAVAILABLE", "none", "none")),
};

function desk(
  env: Record<string, string> = {},
  keychain: SecretStore = new MemorySecrets(),
): VaultCredentials {
  return new VaultCredentials({ keychain, env });
}

async function errorOf(work: Promise<unknown>): Promise<FailureError> {
  const error: unknown = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof FailureError)) throw new Error(`should have been a Failure: ${String(error)}`);
  return error;
}

function expectNoSecret(value: unknown): void {
  const shown = [
    inspect(value, { depth: null, showHidden: true }),
    JSON.stringify(value) ?? "",
    String(value),
    value instanceof Error ? `${value.stack}` : "",
  ].join("\n");
  for (const secret of [SECRET, TOKEN]) expect(shown).not.toContain(secret);
}

describe("where credentials come from", () => {
  test.each([
    ["env", { kind: "env" }, "environment"],
    ["profile:audit", { kind: "profile", name: "audit" }, "profile audit"],
    [
      "profile:123456789012:Auditor",
      { kind: "profile", name: "123456789012:Auditor" },
      "profile 123456789012:Auditor",
    ],
  ])("%s", (text, source, shown) => {
    const parsed = parseCredentialSource(text);
    expect(parsed).toEqual(source);
    expect(credentialSourceSchema.parse(JSON.parse(JSON.stringify(parsed)))).toEqual(source);
    expect(sourceText(parsed)).toBe(shown);
  });

  test.each([
    "",
    "ENV",
    "env ",
    "profile",
    "profile:",
    "profile: a",
    "profile:a\nb",
    "keychain",
    `AKIA/${SECRET}`,
  ])("%j is none, and is not repeated", (text) => {
    let failure: unknown;
    try {
      parseCredentialSource(text);
    } catch (error) {
      failure = error;
    }
    expect(failure).toBeInstanceOf(FailureError);
    expect((failure as FailureError).failure.code).toBe("INVALID_INPUT");
    expectNoSecret(failure);
  });

  test("the keychain's is shown by its access key id, and two vaults of one name have different accounts", () => {
    expect(sourceText(SOURCE)).toBe(`keychain (${ID})`);
    expect(newKeychainSource("acme", ID, () => "0002").account).not.toBe(SOURCE.account);
  });
});

describe("keys in the keychain", () => {
  test("come back as they were saved, with and without a session token, and are replaced as a pair", async () => {
    const credentials = desk();
    await credentials.save(SOURCE, { accessKeyId: ID, secretAccessKey: SECRET, sessionToken: TOKEN });
    expect({ ...(await credentials.provider("acme", SOURCE)()) }).toEqual({
      accessKeyId: ID,
      secretAccessKey: SECRET,
      sessionToken: TOKEN,
    });
    await credentials.save(SOURCE, { accessKeyId: "AKIANEW", secretAccessKey: "new" });
    // The ledger of another process may still name the old id: the pair in the keychain is what counts.
    expect({ ...(await credentials.provider("acme", SOURCE)()) }).toEqual({
      accessKeyId: "AKIANEW",
      secretAccessKey: "new",
    });
  });

  test("that are not there, or were removed, are said to be missing, by the vault's name", async () => {
    const credentials = desk();
    await credentials.save(SOURCE, { accessKeyId: ID, secretAccessKey: SECRET });
    await credentials.remove(SOURCE);
    await credentials.remove(SOURCE);
    expect(await credentials.read(SOURCE)).toBeNull();
    const { failure } = await errorOf(credentials.provider("acme", SOURCE)());
    expect(failure).toMatchObject({ code: "CREDENTIALS_MISSING", subject: "acme" });
    expect(failure.message).toContain(ID);
    expect(failure.nextStep).toContain("--credentials env");
  });

  test.each([
    SECRET,
    `{"secretAccessKey":"${SECRET}"}`,
    `{"accessKeyId":"a","secretAccessKey":["${SECRET}"]}`,
  ])("that were changed in the keychain are missing, and not shown", async (text) => {
    const keychain = new MemorySecrets();
    await keychain.set(SOURCE.account, text);
    const error = await errorOf(desk({}, keychain).provider("acme", SOURCE)());
    expect(error.failure).toMatchObject({ code: "CREDENTIALS_MISSING", subject: SOURCE.account });
    expectNoSecret(error);
  });

  test.each([
    { secretAccessKey: `${SECRET}\n` },
    { secretAccessKey: ` ${SECRET}` },
    { secretAccessKey: "" },
    { sessionToken: `${TOKEN}\r\n` },
    { sessionToken: "" },
    { accessKeyId: "AKIA\u0000" },
  ])("that no request can carry are refused before they are saved", async (fault) => {
    const credentials = desk();
    const key = { accessKeyId: ID, secretAccessKey: SECRET, sessionToken: TOKEN, ...fault };
    const error = await errorOf(credentials.save(SOURCE, key));
    expect(error.failure.code).toBe("INVALID_INPUT");
    expectNoSecret(error);
    expect(await credentials.read(SOURCE)).toBeNull();
  });
});

describe("without a keychain", () => {
  test("a key can be kept in memory, for this process only", async () => {
    const credentials = desk({}, unusable);
    const key = { accessKeyId: ID, secretAccessKey: SECRET };
    expect((await errorOf(credentials.save(SOURCE, key))).failure.code).toBe("KEYCHAIN_UNAVAILABLE");
    await credentials.keepInMemory(SOURCE, key);
    expect((await credentials.provider("acme", SOURCE)()).secretAccessKey).toBe(SECRET);
    expectNoSecret(credentials);
    expect((await errorOf(desk({}, unusable).provider("acme", SOURCE)())).failure.code).toBe(
      "KEYCHAIN_UNAVAILABLE",
    );
  });

  test("the keychain is not asked where the command line names another source", async () => {
    const credentials = desk({ AWS_ACCESS_KEY_ID: ID, AWS_SECRET_ACCESS_KEY: SECRET }, unusable);
    credentials.override({ kind: "env" });
    expect((await credentials.provider("acme", SOURCE)()).secretAccessKey).toBe(SECRET);
  });
});

describe("the environment", () => {
  test("is read at each call", async () => {
    const env: Record<string, string> = { AWS_ACCESS_KEY_ID: ID, AWS_SECRET_ACCESS_KEY: "first" };
    const provide = desk(env).provider("acme", { kind: "env" });
    expect({ ...(await provide()) }).toEqual({ accessKeyId: ID, secretAccessKey: "first" });
    Object.assign(env, { AWS_SECRET_ACCESS_KEY: SECRET, AWS_SESSION_TOKEN: TOKEN });
    expect({ ...(await provide()) }).toEqual({
      accessKeyId: ID,
      secretAccessKey: SECRET,
      sessionToken: TOKEN,
    });
  });

  test.each([
    [{}, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set"],
    [{ AWS_SECRET_ACCESS_KEY: SECRET }, "AWS_ACCESS_KEY_ID is not set"],
    [{ AWS_ACCESS_KEY_ID: ID, AWS_SESSION_TOKEN: TOKEN }, "AWS_SECRET_ACCESS_KEY is not set"],
    [{ AWS_ACCESS_KEY_ID: ID, AWS_SECRET_ACCESS_KEY: "" }, "AWS_SECRET_ACCESS_KEY is not set"],
    [
      { AWS_ACCESS_KEY_ID: ID, AWS_SECRET_ACCESS_KEY: SECRET, AWS_SESSION_TOKEN: `${TOKEN}\n` },
      "session token",
    ],
  ])("what is missing is named, and nothing of what is there is shown", async (env, named) => {
    const error = await errorOf(desk(env as Record<string, string>).provider("acme", { kind: "env" })());
    expect(error.failure.code).toBe("CREDENTIALS_MISSING");
    expect(error.failure.message).toContain(named);
    expectNoSecret(error);
  });
});

test("an override wins over what is kept, for one vault or for all, until it is ended", async () => {
  const credentials = desk();
  credentials.override({ kind: "env" });
  credentials.override({ kind: "profile", name: "audit" }, "acme");
  expect(credentials.sourceOf("acme", SOURCE)).toEqual({ kind: "profile", name: "audit" });
  expect(credentials.sourceOf("other", SOURCE)).toEqual({ kind: "env" });
  credentials.override(null, "acme");
  expect(credentials.sourceOf("acme", SOURCE)).toEqual({ kind: "env" });
  credentials.override(null);
  expect(credentials.sourceOf("acme", SOURCE)).toEqual(SOURCE);
});

describe("credentials for the AWS SDK", () => {
  test("show no secret when they are inspected, printed or made JSON, by themselves or within something else", () => {
    const credentials = new StoreCredentials({
      accessKeyId: ID,
      secretAccessKey: SECRET,
      sessionToken: TOKEN,
    });
    for (const value of [
      credentials,
      [credentials],
      { credentials },
      new Error("x", { cause: credentials }),
    ]) {
      expectNoSecret(value);
    }
    expect(`${credentials}`).toBe("[secret]");
  });

  test("are what an S3 client signs with; a failure passes through it as it is", async () => {
    const credentials = desk();
    await credentials.save(SOURCE, { accessKeyId: ID, secretAccessKey: SECRET, sessionToken: TOKEN });
    const client = new S3Client({ region: "us-east-1", credentials: credentials.provider("acme", SOURCE) });
    const resolved = await client.config.credentials();
    expect(resolved).toMatchObject({ accessKeyId: ID, secretAccessKey: SECRET, sessionToken: TOKEN });
    const without = new S3Client({ region: "us-east-1", credentials: desk().provider("acme", SOURCE) });
    expect((await errorOf(without.config.credentials())).failure.code).toBe("CREDENTIALS_MISSING");
  });
});
