import { describe, expect, test } from "vitest";
import type { VaultDetail } from "../src-contract/vault-api.ts";
import { fakeVault, strongroom } from "./run-fixtures.ts";

const SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const lake = {
  name: "lake",
  kind: "s3",
  location: "s3://evidence/2026 (https://s3.example.org)",
  credentials: "keychain (AKIA1)",
} as const;

/** A vault that remembers what it was asked. */
function recording() {
  const requests: unknown[] = [];
  const answer = async (request: unknown) => {
    requests.push(request);
    return { ok: true as const, value: lake };
  };
  return { requests, vault: fakeVault({ vaultAddS3: answer, vaultSetCredentials: answer }) };
}
const words = (line: string) => line.split(" ");

describe("vault add s3", () => {
  test("hands on every option, and the secret it asked for", async () => {
    const { requests, vault } = recording();
    const line =
      "vault add s3 lake --bucket evidence --endpoint https://s3.example.org --region eu-central-1 --prefix 2026 " +
      "--path-style --storage-class STANDARD_IA --encryption aws:kms --kms-key arn:1 --access-key-id AKIA1 --with-session-token";
    const storeSecret = { ok: true, value: { secretAccessKey: SECRET, sessionToken: "token" } } as const;
    const { exitCode, out, asked } = await strongroom(words(line), { vault, storeSecret });
    expect(requests).toEqual([
      {
        name: "lake",
        bucket: "evidence",
        endpoint: "https://s3.example.org",
        region: "eu-central-1",
        prefix: "2026",
        pathStyle: true,
        storageClass: "STANDARD_IA",
        encryption: "aws:kms",
        kmsKey: "arn:1",
        accessKeyId: "AKIA1",
        credentials: undefined,
        secretAccessKey: SECRET,
        sessionToken: "token",
      },
    ]);
    expect(asked).toEqual([{ accessKeyId: "AKIA1", sessionToken: true }]);
    expect([exitCode, out]).toEqual([
      0,
      "lake\n\n  Bucket       s3://evidence/2026 (https://s3.example.org)\n  Credentials  keychain (AKIA1)\n",
    ]);
  });

  test.each([
    "vault add s3 lake --bucket evidence --credentials profile:audit",
    "--credentials profile:audit vault add s3 lake --bucket evidence",
    "vault --credentials profile:audit add s3 lake --bucket evidence",
  ])("asks for no secret where a reference is given: %s", async (line) => {
    const { requests, vault } = recording();
    const { asked, credentials } = await strongroom(words(line), { vault });
    expect(requests).toMatchObject([{ credentials: "profile:audit" }]);
    expect(asked).toEqual([]);
    expect(credentials).toBe("profile:audit");
  });

  test("asks for no secret before the rest is accepted", async () => {
    const { requests, vault } = recording();
    const line = "vault add s3 lake --bucket Evidence_ --access-key-id AKIA1";
    const { exitCode, err, asked } = await strongroom(words(line), { vault });
    expect(exitCode).toBe(2);
    expect(err).toContain('--bucket "Evidence_": use 3 to 63');
    expect([asked, requests]).toEqual([[], []]);
  });

  test("a secret that is not to be had ends it", async () => {
    const { requests, vault } = recording();
    const failure = {
      code: "INVALID_INPUT",
      message: "No secret access key was given.",
      nextStep: "Type it.",
    } as const;
    const line = "vault add s3 lake --bucket evidence --access-key-id AKIA1";
    const { exitCode, err } = await strongroom(words(line), { vault, storeSecret: { ok: false, failure } });
    expect([exitCode, err, requests]).toEqual([2, `error: ${failure.message}\nnext: Type it.\n`, []]);
  });
});

describe("a secret on the command line is refused and never repeated", () => {
  const add = "vault add s3 lake --bucket evidence --access-key-id AKIA1";
  test.each([
    [`${add} --secret-access-key ${SECRET}`, "--secret-access-key"],
    [`${add} --secret-access-key=${SECRET}`, "--secret-access-key"],
    [`${add} --session-token ${SECRET}`, "--session-token"],
    [`${add} --aws-secret-access-key ${SECRET}`, "--aws-secret-access-key"],
    [`vault set-credentials lake --secret-key=${SECRET}`, "--secret-key"],
    [`vault add --secret ${SECRET} s3 lake --bucket evidence`, "--secret"],
    [`--secret ${SECRET} ${add}`, "--secret"],
    [`package push 0197 --password ${SECRET}`, "--password"],
  ])("%s", async (line, option) => {
    const { vault, requests } = recording();
    for (const argv of [words(line), [...words(line), "--json"]]) {
      const { exitCode, out, err, asked } = await strongroom(argv, { vault });
      expect(exitCode).toBe(2);
      expect(out + err).toContain(`There is no ${option}: what is on a command line can be read`);
      expect(out + err).not.toContain(SECRET);
      expect([asked, requests]).toEqual([[], []]);
    }
  });

  test.each([
    [`${add} ${SECRET}`, "Expected 1 argument but got 2."],
    [`${add} --key=${SECRET}`, "Unknown option '--key'."],
    [
      `vault add s3 lake --bucket evidence --endpoint https://AKIA1:${SECRET}@s3.example.org`,
      "--endpoint: must be",
    ],
    [
      `vault add s3 lake --bucket evidence --credentials ${SECRET}`,
      "--credentials: must be env or profile:NAME",
    ],
    [`vault list --credentials ${SECRET}`, "--credentials: must be env or profile:NAME"],
  ])("nor where it slipped in elsewhere: %s", async (line, why) => {
    const { exitCode, out, err } = await strongroom(words(line), { vault: recording().vault });
    expect(exitCode).toBe(2);
    expect(err).toContain(why);
    expect(out + err).not.toContain(SECRET);
  });
});

test("vault set-credentials hands on the key and its secret", async () => {
  const { requests, vault } = recording();
  const line = "vault set-credentials lake --access-key-id AKIA2 --json";
  const { out } = await strongroom(words(line), { vault });
  expect(requests).toMatchObject([{ name: "lake", accessKeyId: "AKIA2", secretAccessKey: "typed" }]);
  expect(JSON.parse(out)).toEqual({ ok: true, value: lake });
});

test("vault list shows where each vault is and whence its credentials come", async () => {
  const office = { name: "office", kind: "folder", location: "/mnt/evidence", credentials: null } as const;
  const vault = fakeVault({ vaultList: async () => ({ ok: true, value: [lake, office] }) });
  expect((await strongroom(["vault", "list"], { vault })).out).toBe(
    [
      "NAME    KIND    LOCATION                                     CREDENTIALS",
      "lake    s3      s3://evidence/2026 (https://s3.example.org)  keychain (AKIA1)",
      "office  folder  /mnt/evidence                                -",
      "",
    ].join("\n"),
  );
});

test("--credentials stands before or after any command, and help is found in spite of it", async () => {
  for (const line of [
    "--credentials env vault list",
    "vault --credentials=env list",
    "vault list --credentials env",
  ]) {
    const vault = fakeVault({ vaultList: async () => ({ ok: true, value: [] }) });
    const { exitCode, credentials } = await strongroom(words(line), { vault });
    expect([exitCode, credentials]).toEqual([0, "env"]);
  }
  const { out } = await strongroom(words("--credentials env help vault list"));
  expect(out).toContain("Usage: strongroom vault list");
});

test("vault show tells how objects are stored and what was found, in text and as data", async () => {
  const value: VaultDetail = {
    ...lake,
    store: {
      ...{ bucket: "evidence", endpoint: "https://s3.example.org", region: "eu-central-1", prefix: "2026" },
      ...{ pathStyle: true, storageClass: "STANDARD_IA", encryption: "aws:kms", kmsKey: "arn:1" },
    },
    health: {
      ...{ fit: true, freeBytes: null, maxFileBytes: null, caseSensitive: true },
      probes: [{ name: "create only", result: "limited", detail: "the store refuses If-None-Match" }],
    },
    probed: "2026-11-21T10:00:00Z",
  };
  const vault = fakeVault({ vaultShow: async () => ({ ok: true, value }) });
  const { out } = await strongroom(words("vault show lake"), { vault });
  for (const line of [
    /^lake$/m,
    /^ {2}Bucket +s3:\/\/evidence\/2026/m,
    /^ {2}Region +eu-central-1$/m,
    /^ {2}Storage class +STANDARD_IA, for archives and artifacts$/m,
    /^ {2}Encryption +aws:kms$/m,
    /^ {2}KMS key +arn:1$/m,
    /^ {2}Credentials +keychain \(AKIA1\)$/m,
    /^ {2}Last probed +2026-11-21/m,
    /^ {2}create only +limited +the store refuses If-None-Match$/m,
  ]) {
    expect(out).toMatch(line);
  }
  const json = await strongroom(words("vault show lake --json"), { vault });
  expect(JSON.parse(json.out)).toEqual({ ok: true, value });
});
