import { execFileSync } from "node:child_process";
import { createHash, generateKeyPairSync } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ManifestHeader } from "../../src-contract/manifest.ts";
import type { Seal } from "../../src-contract/seal.ts";
import { signPackage } from "../custody/signature.ts";
import { sealBytes } from "../package/seal-bytes.ts";
import { packageDigest as digestOf } from "../package/seal-file.ts";
import { howToVerify } from "./handover.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "strongroom-handover-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const sha256 = (bytes: string | Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const time = "2026-05-04T03:02:01Z";

/** A folder as it is handed over; its bag is as small as these commands need it. */
function handover(signed: boolean, withArchiveDigest = true) {
  const bag = join(folder, "site-visit");
  mkdirSync(join(bag, "data"), { recursive: true });
  writeFileSync(join(bag, "data", "a b.txt"), "evidence".repeat(1000));
  writeFileSync(join(bag, "manifest.json"), "{}");
  const manifest = `${sha256("evidence".repeat(1000))}  data/a b.txt\n`;
  writeFileSync(join(bag, "manifest-sha256.txt"), manifest);
  const tagmanifest = `${sha256("{}")}  manifest.json\n${sha256(manifest)}  manifest-sha256.txt\n`;
  writeFileSync(join(bag, "tagmanifest-sha256.txt"), tagmanifest);
  execFileSync("tar", ["cf", "site-visit.tar", "site-visit"], { cwd: folder });
  rmSync(bag, { recursive: true });
  const archive = readFileSync(join(folder, "site-visit.tar"));
  const partSize = 4096;
  const parts = Array.from({ length: Math.ceil(archive.length / partSize) }, (_, i) =>
    sha256(archive.subarray(i * partSize, (i + 1) * partSize)),
  );
  const seal: Seal = {
    format: "strongroom-seal/1",
    packageId: "01890a5d-ac96-774b-bcce-b302099a8057",
    engagement: "acme-2026",
    archive: "site-visit.tar",
    archiveLayout: 1,
    digestAlgorithm: "sha256",
    archiveSize: archive.length,
    partSize,
    parts,
    manifestSha256: sha256("{}"),
    tagmanifestSha256: sha256(tagmanifest),
    ...(withArchiveDigest ? { archiveSha256: sha256(archive) } : {}),
    encryption: null,
  };
  const header: ManifestHeader = {
    format: "strongroom-manifest/1",
    packageId: seal.packageId,
    name: "site-visit",
    title: "\u001b[31mdo not trust this",
    engagement: "acme-2026",
    created: time,
    sealed: time,
    device: "laptop",
    program: "strongroom",
    sources: [],
    metadata: {},
    fileCount: 1,
    payloadSize: 8000,
  };
  const bytes = sealBytes(seal);
  const packageDigest = digestOf(bytes);
  writeFileSync(join(folder, "site-visit.seal.json"), bytes);
  const { privateKey } = generateKeyPairSync("ed25519");
  const signature = signPackage({ packageDigest, seal, privateKey, time });
  if (signed) {
    mkdirSync(join(folder, "site-visit.signatures"));
    writeFileSync(join(folder, "site-visit.signatures", signature.fileName), signature.bytes);
  }
  const hostile = "$(touch pwned).dsse.json";
  const signatureFiles = signed ? [signature.fileName, hostile] : [hostile];
  const text = howToVerify({ seal, packageDigest, manifest: header, signatureFiles });
  return { seal, packageDigest, text, fingerprint: signature.fileName.slice(0, 64) };
}

/** The indented lines that are commands, as a reader would paste them. */
function commands(text: string): string {
  const known = /^ {4}((sha256sum|split|grep|cmp|head|tar|cd|find|signature=|sed|printf|cat|openssl).*)$/;
  return text
    .split("\n")
    .flatMap((line) => known.exec(line)?.[1] ?? [])
    .join("\n");
}

const run = (script: string) =>
  execFileSync("sh", ["-c", script], { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

test("its commands, pasted as they are, print what it says they must", () => {
  const { seal, packageDigest, text, fingerprint } = handover(true);
  const printed = run(`set -e\n${commands(text)}`).split("\n");
  expect(printed).toEqual([
    `${packageDigest}  site-visit.seal.json`,
    `${seal.archiveSha256}  site-visit.tar`,
    "all parts are as sealed",
    `${seal.parts[0]}  -`,
    `${seal.manifestSha256}  manifest.json`,
    `${seal.tagmanifestSha256}  tagmanifest-sha256.txt`,
    "1",
    "Signature Verified Successfully",
    `${fingerprint}  key.der`,
    "1",
    "",
  ]);
  for (const digest of [packageDigest, seal.archiveSha256, seal.parts[0]]) {
    expect(text).toContain(`must print ${digest}`);
  }
});

test("they fail where the archive was changed", () => {
  const { text } = handover(false);
  const archive = readFileSync(join(folder, "site-visit.tar"));
  archive[2000] = (archive[2000] ?? 0) ^ 1;
  writeFileSync(join(folder, "site-visit.tar"), archive);
  expect(() => run(`set -e\n${commands(text)}`)).toThrow();
});

test("says what is not there: signatures, a digest of the whole archive", () => {
  const { text } = handover(false, false);
  expect(text).toContain("This package is not signed");
  expect(text).not.toContain("openssl");
  expect(text).not.toContain("sha256sum site-visit.tar\n");
});

test("is plain ASCII and holds no free text", () => {
  const { text } = handover(true);
  expect(text).toMatch(/^[\n\x20-\x7e]*$/);
  expect(text).not.toMatch(/do not trust|pwned/);
});
