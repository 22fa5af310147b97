import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { deflateRaw, inflateRaw } from "node:zlib";
import type { CancelSignal } from "../../src-contract/progress.ts";
import { fail, throwIfCancelled } from "../failing.ts";
import type { RangeSource } from "../ports.ts";
import type { Db } from "./database.ts";

/** Bytes of manifest.json in one chunk: as many as its reader asks for at once, so each is unpacked once in a pass. */
const CHUNK = 1024 * 1024;
/** A manifest shrinks to a quarter at this level; higher ones take far longer for a tenth less. */
const LEVEL = 1;

const pack = promisify<Uint8Array, { level: number }, Buffer>(deflateRaw);
const unpack = promisify<Uint8Array, { maxOutputLength: number }, Buffer>(inflateRaw);

/** What the catalog keeps of a package that is only in a vault, beside its manifest. */
export interface KeptPackage {
  readonly sealBytes: Buffer;
  readonly packageDigest: string;
  readonly manifest: KeptManifest;
}

/** manifest.json in the catalog. */
export interface KeptManifest extends RangeSource {
  /** Reads all of it. Throws DATABASE_DAMAGED unless its SHA-256 is this one, which the seal has: nothing else tells that a database was tampered with. */
  requireSealed(sha256: string, signal?: CancelSignal): Promise<void>;
}

export interface KeptSignature {
  /** File name of the envelope in the vault. */
  readonly name: string;
  /** `ObjectInfo.version` of it there. */
  readonly version: string;
  readonly bytes: Uint8Array;
}

/**
 * Puts a manifest into the catalog, chunk by chunk. The caller has held `source` against the seal of this digest: several processes may do the
 * same at once, and one that is killed leaves right chunks, which count for nothing before `keepPackage`.
 */
export async function keepManifest(
  catalog: Db,
  packageDigest: string,
  source: RangeSource,
  signal?: CancelSignal,
): Promise<void> {
  const insert = catalog.prepare(
    "INSERT OR IGNORE INTO manifest_chunks (package_digest, number, bytes) VALUES (?, ?, ?)",
  );
  const buffer = Buffer.allocUnsafe(Math.min(CHUNK, source.size));
  for (let offset = 0; offset < source.size; offset += CHUNK) {
    throwIfCancelled(signal);
    const bytes = buffer.subarray(0, Math.min(CHUNK, source.size - offset));
    await source.read(offset, bytes, signal);
    insert.run(packageDigest, offset / CHUNK, await pack(bytes, { level: LEVEL }));
  }
}

/** From now on the package can be browsed from the catalog. Its sighting and all chunks of its manifest must be there. */
export function keepPackage(
  catalog: Db,
  kept: {
    readonly packageId: string;
    readonly packageDigest: string;
    readonly sealBytes: Uint8Array;
    readonly manifestSize: number;
  },
): void {
  const { packageId, packageDigest, sealBytes, manifestSize } = kept;
  const chunks = catalog
    .prepare<[string], number>("SELECT count(*) FROM manifest_chunks WHERE package_digest = ?")
    .pluck()
    .get(packageDigest);
  if (chunks !== Math.ceil(manifestSize / CHUNK)) throw damaged(catalog, packageId);
  const { changes } = catalog
    .prepare(
      "UPDATE vault_packages SET seal = ?, manifest_size = ? WHERE package_id = ? AND package_digest = ?",
    )
    .run(sealBytes, manifestSize, packageId, packageDigest);
  if (changes === 0) throw damaged(catalog, packageId);
}

/** What is kept of a package that the catalog calls remote. The manifest's source needs no closing. */
export function requireKept(catalog: Db, packageId: string, packageDigest: string): KeptPackage {
  const row = catalog
    .prepare<[string, string], { seal: Buffer; size: number }>(
      "SELECT seal, manifest_size AS size FROM vault_packages WHERE package_id = ? AND package_digest = ? AND seal IS NOT NULL",
    )
    .get(packageId, packageDigest);
  if (row === undefined || createHash("sha256").update(row.seal).digest("hex") !== packageDigest)
    throw damaged(catalog, packageId);
  const manifest = chunkSource(catalog, packageId, packageDigest, row.size);
  return { sealBytes: row.seal, packageDigest, manifest };
}

function chunkSource(catalog: Db, packageId: string, packageDigest: string, size: number): KeptManifest {
  const find = catalog
    .prepare<[string, number], Buffer>(
      "SELECT bytes FROM manifest_chunks WHERE package_digest = ? AND number = ?",
    )
    .pluck();
  const chunk = async (number: number): Promise<Buffer> => {
    const packed = find.get(packageDigest, number);
    const expected = Math.min(CHUNK, size - number * CHUNK);
    if (packed === undefined) throw damaged(catalog, packageId);
    const bytes = await unpack(packed, { maxOutputLength: expected }).catch((error: unknown) => {
      throw damaged(catalog, packageId, error);
    });
    if (bytes.length !== expected) throw damaged(catalog, packageId);
    return bytes;
  };
  return {
    size,
    async read(offset, target, signal) {
      if (offset + target.length > size) throw new RangeError("a read beyond the manifest's end");
      for (let filled = 0; filled < target.length; ) {
        throwIfCancelled(signal);
        const at = offset + filled;
        const bytes = await chunk(Math.floor(at / CHUNK));
        filled += bytes.copy(target, filled, at % CHUNK);
      }
    },
    async requireSealed(sha256, signal) {
      const digest = createHash("sha256");
      for (let number = 0; number * CHUNK < size; number++) {
        throwIfCancelled(signal);
        digest.update(await chunk(number));
      }
      if (digest.digest("hex") !== sha256) throw damaged(catalog, packageId);
    },
    close: async () => undefined,
  };
}

/** In order of name. */
export function keptSignatures(catalog: Db, packageId: string): readonly KeptSignature[] {
  return catalog
    .prepare<[string], KeptSignature>(
      "SELECT name, version, bytes FROM vault_signatures WHERE package_id = ? ORDER BY name",
    )
    .all(packageId);
}

/** Versions by name, without the envelopes. */
export function keptSignatureVersions(catalog: Db, packageId: string): ReadonlyMap<string, string> {
  const rows = catalog
    .prepare<[string], [string, string]>("SELECT name, version FROM vault_signatures WHERE package_id = ?")
    .raw()
    .all(packageId);
  return new Map(rows);
}

export function keepSignature(catalog: Db, packageId: string, signature: KeptSignature): void {
  const { name, version, bytes } = signature;
  catalog
    .prepare("INSERT OR REPLACE INTO vault_signatures (package_id, name, version, bytes) VALUES (?, ?, ?, ?)")
    .run(packageId, name, version, bytes);
}

function damaged(catalog: Db, packageId: string, cause?: unknown): Error {
  return fail(
    "DATABASE_DAMAGED",
    `${catalog.name} does not hold the seal and manifest of package ${packageId} as they were sealed.`,
    "Move catalog.db away, with catalog.db-wal and catalog.db-shm if they are there, then run: strongroom sync",
    { subject: catalog.name, details: { package: packageId }, cause },
  );
}
