import { createHash, generateKeyPairSync } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Seal } from "../src-contract/seal.ts";
import { signPackage } from "../src-core/custody/signature.ts";
import { sealBytes } from "../src-core/package/seal-bytes.ts";
import { type PackageKeys, packageKeys } from "../src-core/vault/vault-keys.ts";

const ENGAGEMENT = "acme-2026";
const PACKAGE_ID = "01938c7e-7b3a-7000-8000-000000000001";
const NAME = "site-a";
const MANIFEST = Buffer.from('{"format":"strongroom-manifest/1"}\n');

export const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** A sealed, signed package as the transfer engine takes it. Its archive is no tar: the engine looks at parts, never into them. */
export interface FaultPackage {
  readonly seal: Seal;
  readonly sealBytes: Buffer;
  readonly packageDigest: string;
  readonly archive: Buffer;
  /** SHA-256 of the whole archive. */
  readonly archiveSha256: string;
  readonly manifest: Buffer;
  readonly signature: Buffer;
  readonly manifestFile: string;
  readonly signatureFile: string;
  readonly keys: PackageKeys;
}

/** Seals `size` bytes in which no two blocks of 4 KiB are the same; manifest.json and the signature are written into `folder`. */
export async function faultPackage(folder: string, size: number, partSize: number): Promise<FaultPackage> {
  const archive = Buffer.alloc(size);
  for (let at = 0; at < size; at += 4096) archive.fill(`block ${at} `, at, Math.min(at + 4096, size));
  const parts = Array.from({ length: Math.ceil(size / partSize) }, (_, part) =>
    sha256(archive.subarray(part * partSize, (part + 1) * partSize)),
  );
  const seal: Seal = {
    format: "strongroom-seal/1",
    packageId: PACKAGE_ID,
    engagement: ENGAGEMENT,
    archive: `${NAME}.tar`,
    archiveLayout: 1,
    digestAlgorithm: "sha256",
    archiveSize: size,
    partSize,
    parts,
    manifestSha256: sha256(MANIFEST),
    tagmanifestSha256: sha256(Buffer.from("tag manifest")),
    encryption: null,
  };
  const bytes = sealBytes(seal);
  const packageDigest = sha256(bytes);
  const { privateKey } = generateKeyPairSync("ed25519");
  const signature = signPackage({ packageDigest, seal, privateKey, time: "2026-11-21T10:00:00Z" });
  await mkdir(folder, { recursive: true });
  const manifestFile = join(folder, "manifest.json");
  const signatureFile = join(folder, signature.fileName);
  await writeFile(manifestFile, MANIFEST);
  await writeFile(signatureFile, signature.bytes);
  return {
    seal,
    sealBytes: bytes,
    packageDigest,
    archive,
    archiveSha256: sha256(archive),
    manifest: MANIFEST,
    signature: signature.bytes,
    manifestFile,
    signatureFile,
    keys: packageKeys(ENGAGEMENT, PACKAGE_ID, NAME),
  };
}
