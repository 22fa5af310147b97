import type { ManifestHeader } from "../../src-contract/manifest.ts";
import type { Seal } from "../../src-contract/seal.ts";
import type { PackageSummary } from "../../src-contract/vault-api.ts";
import type { Db } from "./database.ts";

interface Row {
  readonly id: string;
  readonly engagement: string;
  readonly name: string;
  readonly title: string | null;
  readonly phase: string | null;
  readonly retention_class: string | null;
  readonly holding: PackageSummary["holding"];
  readonly files: number;
  readonly payload_size: number;
  readonly archive_size: number;
  readonly sealed: string;
  readonly package_digest: string;
}

/** A catalog row as people see it, but for what the ledger knows: where it is stored and when it was verified. */
export type CatalogedPackage = Omit<PackageSummary, "storedIn" | "lastVerified">;

export function putPackage(
  catalog: Db,
  entry: {
    readonly seal: Seal;
    readonly manifest: ManifestHeader;
    readonly packageDigest: string;
    readonly holding: PackageSummary["holding"];
  },
): void {
  const { seal, manifest, packageDigest, holding } = entry;
  catalog
    .prepare(
      `INSERT INTO packages (id, engagement, name, title, phase, retention_class, holding, files, payload_size, archive_size, sealed, package_digest)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET holding = excluded.holding`,
    )
    .run(
      seal.packageId,
      seal.engagement,
      manifest.name,
      manifest.title ?? null,
      manifest.phase ?? null,
      manifest.retentionClass ?? null,
      holding,
      manifest.fileCount,
      manifest.payloadSize,
      seal.archiveSize,
      manifest.sealed,
      packageDigest,
    );
}

export function removePackage(catalog: Db, id: string): void {
  catalog.prepare("DELETE FROM packages WHERE id = ?").run(id);
}

/** All packages, or those of one engagement, oldest first. */
export function listPackages(catalog: Db, engagement?: string): readonly CatalogedPackage[] {
  const rows =
    engagement === undefined
      ? catalog.prepare<[], Row>("SELECT * FROM packages ORDER BY id").all()
      : catalog
          .prepare<[string], Row>("SELECT * FROM packages WHERE engagement = ? ORDER BY id")
          .all(engagement);
  return rows.map(fromRow);
}

/** Packages whose id begins with `prefix` (hex digits and dashes only), at most `limit`. */
export function findPackages(catalog: Db, prefix: string, limit: number): readonly CatalogedPackage[] {
  return catalog
    .prepare<[string, string, number], Row>(
      "SELECT * FROM packages WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
    )
    .all(prefix, `${prefix}~`, limit)
    .map(fromRow);
}

function fromRow(row: Row): CatalogedPackage {
  return {
    id: row.id,
    name: row.name,
    title: row.title,
    engagement: row.engagement,
    phase: row.phase,
    retentionClass: row.retention_class,
    holding: row.holding,
    files: row.files,
    payloadSize: row.payload_size,
    archiveSize: row.archive_size,
    sealed: row.sealed,
    packageDigest: row.package_digest,
  };
}
