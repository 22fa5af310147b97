import { execFileSync } from "node:child_process";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FailureError } from "../failing.ts";
import { loadSigningKey } from "./signing-key.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "strongroom-key-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const { privateKey } = generateKeyPairSync("ed25519");

describe("the key file", () => {
  const passphrase = "correct horse";
  const keyFile = (content: string | Buffer) => {
    const file = join(folder, "key.pem");
    writeFileSync(file, content);
    return file;
  };
  const pem = (key: KeyObject) =>
    key.export({ format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase }).toString();
  const refusal = async (file: string, given?: string) => {
    const error: unknown = await loadSigningKey(file, given).catch((reason: unknown) => reason);
    if (!(error instanceof FailureError)) throw new Error("a key was accepted");
    expect(JSON.stringify(error.failure)).not.toContain(
      given === undefined || given === "" ? "correct" : given,
    );
    return error.failure;
  };

  test("as openssl makes it is accepted", async () => {
    const file = join(folder, "made.pem");
    execFileSync("openssl", [
      "genpkey",
      "-algorithm",
      "ed25519",
      "-aes256",
      "-pass",
      "pass:secret",
      "-out",
      file,
    ]);
    expect((await loadSigningKey(file, "secret")).asymmetricKeyType).toBe("ed25519");
  });

  test.each<[string, string, () => string | Buffer, string | undefined]>([
    ["a wrong passphrase", "passphrase is wrong", () => pem(privateKey), "battery staple"],
    ["no passphrase", "needs its passphrase", () => pem(privateKey), undefined],
    ["an empty passphrase", "needs its passphrase", () => pem(privateKey), ""],
    [
      "a key that is not encrypted",
      "not encrypted",
      () => privateKey.export({ format: "pem", type: "pkcs8" }),
      passphrase,
    ],
    [
      "a key of another kind",
      "type rsa",
      () => pem(generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey),
      passphrase,
    ],
    ["a public key", "no private key", () => "-----BEGIN PUBLIC KEY-----\n", passphrase],
    ["no key", "no private key", () => Buffer.from([0, 255, 1]), passphrase],
    [
      "a damaged key",
      "damaged",
      () => pem(privateKey).replace(/\n.{20}/, "\nAAAAAAAAAAAAAAAAAAAA"),
      passphrase,
    ],
    ["a huge file", "too large", () => Buffer.alloc(100_000), passphrase],
  ])("%s is refused", async (_name, what, content, given) => {
    const failure = await refusal(keyFile(content()), given);
    expect(failure.code).toBe("KEY_UNUSABLE");
    expect(failure.message).toContain(what);
  });

  test("tells how to make a key, and what is missing", async () => {
    expect((await refusal(keyFile("x"), passphrase)).nextStep).toContain(
      "openssl genpkey -algorithm ed25519 -aes256",
    );
    expect((await refusal(join(folder, "absent"), passphrase)).code).toBe("PATH_NOT_FOUND");
  });
});
