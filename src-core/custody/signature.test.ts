import { execFileSync } from "node:child_process";
import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Seal } from "../../src-contract/seal.ts";
import { canonicalJson } from "../package/canonical-json.ts";
import { sealBytes } from "../package/seal-bytes.ts";
import { packageDigest as digestOf } from "../package/seal-file.ts";
import { type Envelope, preAuthEncoding, type Statement } from "./dsse.ts";
import { signPackage, verifySignature } from "./signature.ts";
import { fingerprint, publicKeyDer } from "./signing-key.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "strongroom-signature-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const digest = "0123456789abcdef".repeat(4);
const seal: Seal = {
  format: "strongroom-seal/1",
  packageId: "01890a5d-ac96-774b-bcce-b302099a8057",
  engagement: "acme-2026",
  archive: "site-visit.tar",
  archiveLayout: 1,
  digestAlgorithm: "sha256",
  archiveSize: 2048,
  partSize: 2048,
  parts: [digest],
  manifestSha256: digest,
  tagmanifestSha256: digest,
  encryption: null,
};
const packageDigest = digestOf(sealBytes(seal));
const time = "2026-05-04T03:02:01Z";
const { privateKey } = generateKeyPairSync("ed25519");
const signed = signPackage({ packageDigest, seal, privateKey, time });
const keyid = fingerprint(publicKeyDer(privateKey));

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const verdict = (bytes: Uint8Array, key = keyid) =>
  verifySignature(`${key}-${sha256(bytes)}.dsse.json`, bytes, packageDigest);
const opened: Envelope = JSON.parse(signed.bytes.toString());
const stated: Statement = JSON.parse(Buffer.from(opened.payload, "base64").toString());

interface Forgery {
  readonly statement?: (statement: Statement) => unknown;
  readonly envelope?: (envelope: Envelope) => unknown;
  readonly key?: KeyObject;
}

/** An envelope whose statement and frame were changed, correctly signed over what it then says. */
function forged({ statement = (s) => s, envelope = (e) => e, key = privateKey }: Forgery): Buffer {
  return framed(Buffer.from(canonicalJson(statement(stated))), { envelope, key });
}

function framed(payload: Buffer, { envelope = (e) => e, key = privateKey }: Forgery = {}): Buffer {
  const sig = sign(null, preAuthEncoding(opened.payloadType, payload), key).toString("base64");
  const frame = envelope({ ...opened, payload: payload.toString("base64"), signatures: [{ keyid, sig }] });
  return Buffer.from(canonicalJson(frame));
}

const withDigest = (algorithms: object) => (s: Statement) => ({
  ...s,
  subject: [{ ...s.subject[0], digest: algorithms }],
});
const withKey = (publicKey: string) => (s: Statement) => ({ ...s, predicate: { ...s.predicate, publicKey } });
const withSignature = (change: object) => (e: Envelope) => ({
  ...e,
  signatures: [{ ...e.signatures[0], ...change }],
});

describe("a signature", () => {
  test("is valid for its package and tells key and time", () => {
    expect(signed.fileName).toBe(`${keyid}-${sha256(signed.bytes)}.dsse.json`);
    expect(verifySignature(signed.fileName, signed.bytes, packageDigest)).toEqual({
      check: { fingerprint: keyid, state: "valid", file: signed.fileName },
      publicKey: publicKeyDer(privateKey).toString("base64"),
      time,
      problem: null,
    });
    expect(verdict(forged({})).check.state).toBe("valid");
  });

  test("is an in-toto statement about the archive", () => {
    expect(opened.payloadType).toBe("application/vnd.in-toto+json");
    expect(stated).toEqual({
      _type: "https://in-toto.io/Statement/v1",
      subject: [{ name: "site-visit.tar", digest: { sha256: packageDigest } }],
      predicateType: "https://strongroom.dev/seal/v1",
      predicate: {
        packageId: seal.packageId,
        engagement: "acme-2026",
        time,
        publicKey: publicKeyDer(privateKey).toString("base64"),
      },
    });
  });

  test.each([
    ["Ed448", generateKeyPairSync("ed448").privateKey],
    ["RSA", generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey],
  ])("of an %s key is not valid, though it fits: format 1 knows Ed25519 alone", (_, key) => {
    const { fileName, bytes } = signPackage({ packageDigest, seal, privateKey: key, time });
    expect(verifySignature(fileName, bytes, packageDigest)).toMatchObject({
      check: { state: "invalid" },
      problem: expect.stringContaining("Ed25519"),
    });
  });

  test("encodes what is signed as the DSSE specification's own example does", () => {
    const encoded = preAuthEncoding("http://example.com/HelloWorld", Buffer.from("hello world"));
    expect(encoded.toString()).toBe("DSSEv1 29 http://example.com/HelloWorld 11 hello world");
  });

  test("is verified by openssl alone", () => {
    const [pae, sig, pub] = [join(folder, "pae"), join(folder, "sig"), join(folder, "pub.der")] as const;
    writeFileSync(pub, Buffer.from(stated.predicate.publicKey, "base64"));
    writeFileSync(sig, Buffer.from(opened.signatures[0].sig, "base64"));
    const openssl = () =>
      execFileSync(
        "openssl",
        [
          "pkeyutl",
          "-verify",
          "-pubin",
          "-keyform",
          "DER",
          "-inkey",
          pub,
          "-rawin",
          "-in",
          pae,
          "-sigfile",
          sig,
        ],
        { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] },
      );
    writeFileSync(pae, preAuthEncoding(opened.payloadType, Buffer.from(opened.payload, "base64")));
    expect(openssl()).toContain("Signature Verified Successfully");
    writeFileSync(pae, preAuthEncoding(opened.payloadType, Buffer.from("other")));
    expect(openssl).toThrow();
  });
});

describe("invalid", () => {
  const other = generateKeyPairSync("ed25519").privateKey;
  const otherKey = publicKeyDer(other).toString("base64");
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  const change = (text: string) => Buffer.from(text);
  const cases: readonly [string, string, () => Uint8Array][] = [
    ["nothing", "envelope is not JSON", () => Buffer.alloc(0)],
    ["no object", "not of a known form", () => change("null")],
    ["too many bytes", "more than 65536", () => Buffer.alloc(70_000)],
    ["deep nesting", "envelope is not JSON", () => change("[".repeat(60_000))],
    ["another package", "signs another package", () => forged({ statement: withDigest({ sha256: digest }) })],
    [
      "two subjects",
      "subject",
      () => forged({ statement: (s) => ({ ...s, subject: [s.subject[0], s.subject[0]] }) }),
    ],
    [
      "a further digest",
      "subject",
      () => forged({ statement: withDigest({ sha256: packageDigest, md5: "00" }) }),
    ],
    [
      "another predicate",
      "predicateType",
      () => forged({ statement: (s) => ({ ...s, predicateType: "x" }) }),
    ],
    [
      "a lone surrogate",
      "subject.0.name",
      () => framed(change(canonicalJson(stated).replace("site-visit", "\\ud800"))),
    ],
    [
      "a statement that is not canonical, though signed",
      "statement is not canonical",
      () => framed(change(`${canonicalJson(stated)}\n`)),
    ],
    [
      "an unknown payload type",
      "payloadType",
      () => forged({ envelope: (e) => ({ ...e, payloadType: "text/plain" }) }),
    ],
    ["an unknown field", "envelope", () => forged({ envelope: (e) => ({ ...e, note: "x" }) })],
    ["no signature", "signatures", () => forged({ envelope: (e) => ({ ...e, signatures: [] }) })],
    [
      "two signatures",
      "signatures",
      () => forged({ envelope: (e) => ({ ...e, signatures: [...e.signatures, ...e.signatures] }) }),
    ],
    ["bad base64 in the signature", "sig", () => forged({ envelope: withSignature({ sig: "AAAA!" }) })],
    [
      "bad base64 in the payload",
      "payload",
      () => forged({ envelope: (e) => ({ ...e, payload: ` ${e.payload}` }) }),
    ],
    ["a signature cut short", "does not fit", () => forged({ envelope: withSignature({ sig: "AAAA" }) })],
    ["a signature by another key", "does not fit", () => forged({ key: other })],
    [
      "another key in the statement",
      "public key is not the one",
      () => forged({ statement: withKey(otherKey), key: other }),
    ],
    [
      "another key id",
      "public key is not the one",
      () => forged({ envelope: withSignature({ keyid: digest }) }),
    ],
    ["an envelope that is not canonical", "not canonical", () => change(`${signed.bytes} `)],
    [
      "a repeated field",
      "not canonical",
      () => change(signed.bytes.toString().replace("{", '{"payload":"AAAA",')),
    ],
  ];
  test.each(cases)("%s", (_name, problem, bytes) => {
    const found = verdict(bytes());
    expect(found).toMatchObject({
      check: { state: "invalid", fingerprint: keyid },
      publicKey: null,
      time: null,
    });
    expect(found.problem).toContain(problem);
  });

  test("a key of another kind, or none at all", () => {
    for (const der of [publicKeyDer(rsa), Buffer.from("no key")]) {
      const bytes = forged({
        statement: withKey(der.toString("base64")),
        envelope: withSignature({ keyid: fingerprint(der) }),
      });
      expect(verdict(bytes, fingerprint(der)).check.state).toBe("invalid");
    }
  });

  test("file names that lie or are none", () => {
    for (const name of [
      "",
      "x.dsse.json",
      `${digest}-${sha256(signed.bytes)}.dsse.json`,
      `${keyid}-${digest}.dsse.json`,
      `${signed.fileName}\n`,
      `../${signed.fileName}`,
      signed.fileName.toUpperCase(),
    ]) {
      expect(verifySignature(name, signed.bytes, packageDigest).check).toMatchObject({
        state: "invalid",
        file: name,
      });
    }
  });

  test("any changed byte, even when the file is named after its new bytes", () => {
    fc.assert(
      fc.property(fc.nat(signed.bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        const bytes = Buffer.from(signed.bytes);
        bytes[at] = (bytes[at] ?? 0) ^ mask;
        expect(verdict(bytes).check.state).toBe("invalid");
      }),
    );
  });
});
