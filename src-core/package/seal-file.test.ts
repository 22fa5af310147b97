import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Seal } from "../../src-contract/seal.ts";
import { FailureError } from "../failing.ts";
import { sealBytes } from "./seal-bytes.ts";
import { packageDigest, parseSeal } from "./seal-file.ts";

const digest = "0123456789abcdef".repeat(4);
const seal: Seal = {
  format: "strongroom-seal/1",
  packageId: "01890a5d-ac96-774b-bcce-b302099a8057",
  engagement: "acme-2026",
  archive: "site-visit.tar",
  archiveLayout: 1,
  digestAlgorithm: "sha256",
  archiveSize: 20_480,
  partSize: 16_384,
  parts: [digest, digest],
  manifestSha256: digest,
  tagmanifestSha256: digest,
  archiveSha256: digest,
  encryption: null,
};

function refusal(bytes: Uint8Array): string {
  try {
    parseSeal(bytes);
  } catch (error) {
    if (error instanceof FailureError && error.failure.code === "SEAL_INVALID") return error.message;
    throw error;
  }
  return "accepted";
}

test("comes back as it was and is quoted by the SHA-256 of its bytes", () => {
  const bytes = sealBytes(seal);
  expect(parseSeal(bytes)).toEqual(seal);
  expect(bytes.toString()).toMatch(/^\{"archive":"site-visit\.tar","archiveLayout":1,/);
  expect(packageDigest(bytes)).toBe(createHash("sha256").update(bytes).digest("hex"));
  const { archiveSha256: _, ...without } = seal;
  expect(parseSeal(sealBytes(without))).toEqual(without);
});

test("a seal that could not be read again is never written", () => {
  expect(() => parseSeal(sealBytes({ ...seal, parts: [digest] }))).toThrow("number of parts");
});

describe("refused by name", () => {
  const text = sealBytes(seal).toString();
  const cases: readonly [string, string, string | Uint8Array][] = [
    ["nothing", "not JSON", ""],
    ["an array", "names no format", "[]"],
    ["null", "not a JSON object", "null"],
    ["no format", "names no format", "{}"],
    ["a later format", 'format "strongroom-seal/2" is not known', text.replace("seal/1", "seal/2")],
    [
      "a format that is no string",
      "format of type object is not known",
      `{"format":${"[".repeat(1e6)}${"]".repeat(1e6)}}`,
    ],
    ["an unknown field", '"note"', text.replace('"packageId"', '"note":1,"packageId"')],
    ["another layout", "archiveLayout", text.replace('"archiveLayout":1', '"archiveLayout":2')],
    ["another algorithm", "digestAlgorithm", text.replace('Algorithm":"sha256', 'Algorithm":"md5')],
    ["encryption", "encryption", text.replace('"encryption":null', '"encryption":{}')],
    ["a name that climbs", "archive", text.replace("site-visit.tar", "../x.tar")],
    ["a part too few", "parts: number of parts", text.replace(`["${digest}",`, "[")],
    ["a digest in capitals", "parts.0", text.replace(`["${digest}`, `["${digest.toUpperCase()}`)],
    ["white space", "not the canonical form", `${text}\n`],
    ["white space before", "not the canonical form", ` ${text}`],
    ["a repeated field", "not the canonical form", text.replace("{", '{"archive":"other.tar",')],
    ["fields out of order", "not the canonical form", JSON.stringify(seal)],
    ["an escape", "not the canonical form", text.replace("acme", "\\u0061cme")],
    ["a byte order mark", "not JSON", `\ufeff${text}`],
    ["bytes that are not UTF-8", "not UTF-8", Buffer.concat([Buffer.from(text), Buffer.from([0xff])])],
    ["a lone surrogate", "engagement", text.replace("acme", "\\ud800")],
    ["too many bytes", "more than 4194304", Buffer.alloc(4 * 1024 * 1024 + 1, " ")],
    ["deep nesting", "not JSON", "[".repeat(4_000_000)],
  ];
  test.each(cases)("%s", (_name, message, bytes) => {
    const told = refusal(typeof bytes === "string" ? Buffer.from(bytes) : bytes);
    expect(told).toContain(message);
    expect(told.length).toBeLessThan(600);
  });
});
