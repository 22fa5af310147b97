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

/** What the catalog says of a package follows from its seal and manifest. */
export interface PackageEntry {
  readonly seal: Seal;
  readonly manifest: ManifestHeader;
  readonly packageDigest: string;
}

const INSERT = `INSERT INTO packages (id, engagement, name, title, phase, retention_class, holding, files, payload_size, archive_size, sealed, package_digest)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;

/** A package of this device. What was known under its id of another seal, or of a vault, gives way. */
export function putPackage(
  catalog: Db,
  entry: PackageEntry & { readonly holding: "held" | "reference" },
): void {
  const { seal, packageDigest, holding } = entry;
  catalog
    .transaction(() => {
      catalog
        .prepare("DELETE FROM packages WHERE id = ? AND package_digest <> ?")
        .run(seal.packageId, packageDigest);
      catalog
        .prepare(`${INSERT} ON CONFLICT (id) DO UPDATE SET holding = excluded.holding`)
        .run(...columns(entry, holding));
    })
    .immediate();
}

/** A package that a vault holds and this device does not; answers false for one that is known already. */
export function addRemotePackage(catalog: Db, entry: PackageEntry): boolean {
  return catalog.prepare(`${INSERT} ON CONFLICT DO NOTHING`).run(...columns(entry, "remote")).changes > 0;
}

function columns({ seal, manifest, packageDigest }: PackageEntry, holding: PackageSummary["holding"]) {
  return [
    ...[seal.packageId, seal.engagement, manifest.name],
    ...[manifest.title ?? null, manifest.phase ?? null, manifest.retentionClass ?? null],
    ...[holding, manifest.fileCount, manifest.payloadSize, seal.archiveSize, manifest.sealed, packageDigest],
  ];
}

/** A package that this device held and does not any more: it is in a vault only, where the catalog keeps its manifest from there, or it is forgotten. */
export function dropLocalPackage(catalog: Db, id: string): void {
  catalog
    .transaction(() => {
      const { changes } = catalog
        .prepare(
          `UPDATE packages SET holding = 'remote' WHERE id = ? AND EXISTS
             (SELECT 1 FROM vault_packages WHERE package_id = id AND package_digest = packages.package_digest AND seal IS NOT NULL)`,
        )
        .run(id);
      if (changes === 0) catalog.prepare("DELETE FROM packages WHERE id = ?").run(id);
    })
    .immediate();
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

/** Null when the catalog does not know the id. */
export function packageRow(catalog: Db, id: string): CatalogedPackage | null {
  const row = catalog.prepare<[string], Row>("SELECT * FROM packages WHERE id = ?").get(id);
  return row === undefined ? null : fromRow(row);
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
