import type { Failure } from "../../src-contract/failure.ts";
import type { Db } from "./database.ts";

/** A package whose sound seal a sync saw in a vault. */
export interface VaultPackage {
  readonly packageId: string;
  readonly engagement: string;
  /** The vault's name. */
  readonly vault: string;
  readonly packageDigest: string;
  /** `ObjectInfo.version` of seal.json: while it is the same, the seal need not be read again. */
  readonly sealVersion: string;
  /** Since when the vault does not hold it as it was seen, RFC 3339; null while it does. */
  readonly gone: string | null;
  /** Whether its seal and manifest are in the catalog (kept-packages.ts). */
  readonly kept: boolean;
}

type Row = Omit<VaultPackage, "kept"> & { readonly kept: 0 | 1 };

const COLUMNS = `package_id AS packageId, engagement, vault, package_digest AS packageDigest, seal_version AS sealVersion, gone,
  seal IS NOT NULL AS kept`;

const fromRow = (row: Row): VaultPackage => ({ ...row, kept: row.kept === 1 });

/** Null when no sync saw it. */
export function vaultPackage(catalog: Db, packageId: string): VaultPackage | null {
  const row = catalog
    .prepare<[string], Row>(`SELECT ${COLUMNS} FROM vault_packages WHERE package_id = ?`)
    .get(packageId);
  return row === undefined ? null : fromRow(row);
}

/** All that was ever seen of an engagement in one vault, in order of id. */
export function vaultPackagesIn(catalog: Db, engagement: string, vault: string): readonly VaultPackage[] {
  return catalog
    .prepare<[string, string], Row>(
      `SELECT ${COLUMNS} FROM vault_packages WHERE engagement = ? AND vault = ? ORDER BY package_id`,
    )
    .all(engagement, vault)
    .map(fromRow);
}

/** Remembers that a package is in a vault. What was kept of another seal under its id is let go. */
export function sightPackage(catalog: Db, seen: Omit<VaultPackage, "gone" | "kept">): void {
  const { packageId, engagement, vault, packageDigest, sealVersion } = seen;
  catalog
    .prepare(
      `INSERT INTO vault_packages (package_id, engagement, vault, package_digest, seal_version) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (package_id) DO UPDATE SET
         engagement = excluded.engagement, vault = excluded.vault, seal_version = excluded.seal_version, gone = NULL,
         seal = iif(package_digest = excluded.package_digest, seal, NULL),
         manifest_size = iif(package_digest = excluded.package_digest, manifest_size, NULL),
         package_digest = excluded.package_digest`,
    )
    .run(packageId, engagement, vault, packageDigest, sealVersion);
}

/** The vault does not hold the package as it was seen; the first time that this was found stays. Also for one that only the ledger told of. */
export function markGone(
  catalog: Db,
  place: Pick<VaultPackage, "packageId" | "engagement" | "vault" | "packageDigest">,
  time: string,
): void {
  const { packageId, engagement, vault, packageDigest } = place;
  catalog
    .prepare(
      `INSERT INTO vault_packages (package_id, engagement, vault, package_digest, seal_version, gone) VALUES (?, ?, ?, ?, '', ?)
       ON CONFLICT (package_id) DO UPDATE SET gone = coalesce(gone, excluded.gone)`,
    )
    .run(packageId, engagement, vault, packageDigest, time);
}

/** What this device itself stored and checked is in the vault, whatever a sync saw before. */
export function clearGone(catalog: Db, packageId: string): void {
  catalog.prepare("UPDATE vault_packages SET gone = NULL WHERE package_id = ?").run(packageId);
}

/** What is wrong with one package in a vault. */
export interface VaultProblem {
  readonly packageId: string;
  readonly failure: Failure;
}

/** What the last sync found wrong with packages in vaults, in order of id; of one engagement, or of all. */
export function vaultProblems(catalog: Db, engagement?: string): readonly VaultProblem[] {
  return catalog
    .prepare<[string | null], { packageId: string; failure: string }>(
      `SELECT package_id AS packageId, failure FROM vault_problems WHERE engagement = coalesce(?, engagement)
       ORDER BY package_id, id`,
    )
    .all(engagement ?? null)
    .map(({ packageId, failure }) => ({ packageId, failure: JSON.parse(failure) as Failure }));
}

/** Replaces what was found before: of the packages that were looked at, or of all when the look came to its end. */
export function replaceProblems(
  catalog: Db,
  engagement: string,
  problems: readonly VaultProblem[],
  lookedAt: ReadonlySet<string> | "all",
): void {
  const forgetAll = catalog.prepare("DELETE FROM vault_problems WHERE engagement = ?");
  const forget = catalog.prepare("DELETE FROM vault_problems WHERE engagement = ? AND package_id = ?");
  const add = catalog.prepare(
    "INSERT INTO vault_problems (engagement, package_id, failure) VALUES (?, ?, ?)",
  );
  catalog
    .transaction(() => {
      if (lookedAt === "all") forgetAll.run(engagement);
      else for (const packageId of lookedAt) forget.run(engagement, packageId);
      for (const { packageId, failure } of problems) add.run(engagement, packageId, JSON.stringify(failure));
    })
    .immediate();
}
