import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Seal } from "../../src-contract/seal.ts";
import { openFileSource } from "../archive/file-source.ts";
import { type Db, openDatabase } from "../catalog/database.ts";
import { ledgerMigrations } from "../catalog/ledger-migrations/index.ts";
import { sealBytes } from "../package/seal-bytes.ts";
import type { RangeSource, Vault } from "../ports.ts";
import { createFolderVault } from "../vault/folder-vault.ts";
import { packageKeys } from "../vault/vault-keys.ts";
import type { PullOptions } from "./pull-package.ts";
import type { PushOptions } from "./push-package.ts";
import type { RetryPolicy } from "./retry.ts";

/** For tests only. */
export const PACKAGE_ID = "01938c7e-7b3a-7000-8000-000000000001";
export const ENGAGEMENT = "acme-2026";
export const PART = 64 * 1024;
export const PARTS = 8;
/** The last part is shorter. */
export const SIZE = PART * (PARTS - 1) + 2048;
export const KEYS = packageKeys(ENGAGEMENT, PACKAGE_ID, "site-a");
const MANIFEST = '{"format":"strongroom-manifest/1"}\n';

const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");

/** The bytes of the test archive: the same in every process. */
export function archiveBytes(): Buffer {
  const bytes = Buffer.alloc(SIZE);
  for (let at = 0, block = 0; at < SIZE; at += 32)
    createHash("sha256").update(`${block++}`).digest().copy(bytes, at);
  return bytes;
}

export function sealOf(bytes: Buffer): { readonly seal: Seal; readonly sealBytes: Buffer } {
  const seal: Seal = {
    format: "strongroom-seal/1",
    packageId: PACKAGE_ID,
    engagement: ENGAGEMENT,
    archive: "site-a.tar",
    archiveLayout: 1,
    digestAlgorithm: "sha256",
    archiveSize: bytes.length,
    partSize: PART,
    parts: Array.from({ length: Math.ceil(bytes.length / PART) }, (_, i) =>
      sha256(bytes.subarray(i * PART, (i + 1) * PART)),
    ),
    manifestSha256: sha256(MANIFEST),
    tagmanifestSha256: sha256("tag manifest"),
    encryption: null,
  };
  return { seal, sealBytes: sealBytes(seal) };
}

/** A folder with a vault, a ledger, a sealed package and an empty folder to pull into. */
export function makeWorkplace(folder: string): void {
  for (const name of ["vault", "package", "pulled"]) mkdirSync(join(folder, name));
  writeFileSync(join(folder, "package", "site-a.tar"), archiveBytes());
  writeFileSync(join(folder, "package", "manifest.json"), MANIFEST);
  writeFileSync(join(folder, "package", "alice.dsse.json"), "{}");
}

export function openLedger(folder: string, name = "ledger.db"): Db {
  return openDatabase(join(folder, name), ledgerMigrations, true);
}

export const vaultOf = (folder: string): Vault => createFolderVault(join(folder, "vault"));
export const archiveOf = (folder: string): Promise<RangeSource> =>
  openFileSource(join(folder, "package", "site-a.tar"));

/** Tries as often as the real policy and does not wait. */
const IMPATIENT: RetryPolicy = {
  tries: 5,
  firstMs: 1,
  longestMs: 1,
  random: () => 0,
  sleep: async () => undefined,
};
const clock = { now: () => Date.now() };

export function pushOptions(
  folder: string,
  db: Db,
  archive: RangeSource,
  more: Partial<PushOptions> = {},
): PushOptions {
  return {
    vault: vaultOf(folder),
    vaultName: "stick",
    db,
    engagement: ENGAGEMENT,
    ...sealOf(archiveBytes()),
    archive,
    manifestFile: join(folder, "package", "manifest.json"),
    signatureFiles: [join(folder, "package", "alice.dsse.json")],
    actor: "alice",
    clock,
    retry: IMPATIENT,
    ...more,
  };
}

export function pullOptions(folder: string, db: Db, more: Partial<PullOptions> = {}): PullOptions {
  return {
    vault: vaultOf(folder),
    vaultName: "stick",
    db,
    engagement: ENGAGEMENT,
    packageId: PACKAGE_ID,
    folder: join(folder, "pulled"),
    clock,
    retry: IMPATIENT,
    ...more,
  };
}

/** Everything under a folder by relative path, dot-names too, sorted. */
export function allFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

/** What the vault holds once the package is stored: the object keys without the record's time. */
export function vaultFiles(folder: string): string[] {
  return allFiles(join(folder, "vault")).map((name) =>
    name.slice(KEYS.prefix.length).replace(/alice-.*\.json$/, "alice-TIME.json"),
  );
}

export const STORED_FILES = [
  "manifest.json",
  "seal.json",
  "signatures/alice.dsse.json",
  "site-a.tar",
  "stored/alice-TIME.json",
];

export function storedArchive(folder: string): Buffer {
  return readFileSync(join(folder, "vault", KEYS.archive));
}

/** A source that counts what is read of it. */
export function counting(source: RangeSource): RangeSource & { readonly count: () => number } {
  let bytes = 0;
  return {
    ...source,
    async read(offset, target, signal) {
      bytes += target.length;
      await source.read(offset, target, signal);
    },
    count: () => bytes,
  };
}

/** The vault with one method replaced. */
export function withMethod<K extends keyof Vault>(
  vault: Vault,
  name: K,
  method: (original: Vault[K]) => Vault[K],
): Vault {
  return { ...vault, [name]: method(vault[name]) };
}
