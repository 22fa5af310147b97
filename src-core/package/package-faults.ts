import { join } from "node:path";
import type { Failure, FailureCode } from "../../src-contract/failure.ts";
import { type CatalogedPackage, dropLocalPackage, listPackages } from "../catalog/package-rows.ts";
import type { Core } from "../core.ts";
import { exists } from "../durable-files.ts";
import { asFailure, type FailureError, fail } from "../failing.ts";
import {
  catalogPackage,
  damaged,
  loadPackage,
  packageFolder,
  packageIdsOnDisk,
  storedIn,
} from "./package-store.ts";

/** A package that this device should hold whole and does not. */
export interface PackageFault {
  readonly packageId: string;
  readonly failure: Failure;
}

const DAMAGED = new Set<FailureCode>([
  "PACKAGE_DAMAGED",
  "SEAL_INVALID",
  "MANIFEST_INVALID",
  "PACKAGE_NOT_HELD",
  "PATH_NOT_FOUND",
  "PATH_NOT_EVIDENCE",
  "PATH_UNREADABLE",
  "INVALID_INPUT",
  "IO_ERROR",
]);

/**
 * Makes the catalog say what packages/ holds: the folders are the truth, the catalog may have been deleted or a process killed
 * between publishing a package and cataloguing it. A folder whose seal or manifest is damaged is left alone and answered: one bad
 * package must not keep the others from their owner, and must not be forgotten either.
 */
export async function reconcileCatalog(core: Core): Promise<readonly PackageFault[]> {
  // Rows first, folders second: a package that another process publishes in between is then seen as a folder, never as a stale row.
  const rows = listPackages(core.catalog);
  const onDisk = new Set(packageIdsOnDisk(core));
  for (const row of rows) {
    // One that is known from a vault may have come since.
    if (row.holding === "remote" || onDisk.delete(row.id)) continue;
    dropLocalPackage(core.catalog, row.id);
  }
  const faults: PackageFault[] = [];
  for (const id of onDisk) {
    try {
      await catalogPackage(core, await loadPackage(core, id));
    } catch (error) {
      const cause = asFailure(error);
      if (!DAMAGED.has(cause.failure.code)) throw error;
      faults.push(unreadable(core, id, cause));
    }
  }
  return faults;
}

function unreadable(core: Core, packageId: string, cause: FailureError): PackageFault {
  if (cause.failure.code === "PACKAGE_DAMAGED") return { packageId, failure: cause.failure };
  const folder = packageFolder(core, packageId);
  const what = `${folder} cannot be read as a package (${cause.failure.message.replace(/\.$/, "")})`;
  return { packageId, failure: asFailure(damaged(packageId, what, folder, cause)).failure };
}

/**
 * All packages of this device with which something is wrong that a look at names shows: folders that cannot be read, files that are
 * missing in them, packages that were sealed or taken in here, are in no vault, and have no folder any more. No content is read:
 * that is what verification is for.
 */
export async function packageFaults(core: Core): Promise<readonly PackageFault[]> {
  const faults = [...(await reconcileCatalog(core))];
  for (const row of listPackages(core.catalog)) {
    const folder = packageFolder(core, row.id);
    try {
      const missing = await missingFile(folder, row);
      if (missing !== null) throw damaged(row.id, `${missing} is missing in ${folder}`, folder);
    } catch (error) {
      faults.push(unreadable(core, row.id, asFailure(error, folder)));
    }
  }
  for (const id of unstoredIds(core)) {
    const folder = packageFolder(core, id);
    if (!(await exists(folder))) faults.push({ packageId: id, failure: gone(id, folder).failure });
  }
  return faults.sort((a, b) => (a.packageId < b.packageId ? -1 : 1));
}

async function missingFile(folder: string, row: CatalogedPackage): Promise<string | null> {
  if (row.holding === "remote") return null;
  for (const name of ["seal.json", "manifest.json"]) if (!(await exists(join(folder, name)))) return name;
  const archive = `${row.name}.tar`;
  if (await exists(join(folder, archive))) return null;
  if (row.holding === "held") return archive;
  return (await exists(join(folder, "plan.records"))) ? null : "plan.records";
}

/**
 * Throws LEDGER_MISSING where packages are, but a ledger that tells of nothing: it was lost, and what it told (engagements, vaults, the
 * custody log) must not be begun anew without a word. A backup can be restored then, since an empty ledger takes one.
 */
export function requireLedger(core: Core): void {
  const row = core.ledger
    .prepare<[], { told: number }>(
      "SELECT EXISTS (SELECT 1 FROM engagements) OR EXISTS (SELECT 1 FROM custody_events) AS told",
    )
    .get();
  if (row?.told === 1) return;
  const packages = packageIdsOnDisk(core).length;
  if (packages === 0) return;
  throw fail(
    "LEDGER_MISSING",
    `${core.home.folder} holds ${packages === 1 ? "a package" : `${packages} packages`}, but ${core.home.ledger}, which tells of engagements, vaults and custody, was lost or restoring it was cut short.`,
    "Bring ledger.db back as it was, or restore a backup here, which keeps the packages: strongroom restore --from DIR. With neither, set STRONGROOM_HOME to a new folder; docs/operations.md says how to take the packages along.",
    { subject: core.home.ledger, details: { packages } },
  );
}

/** Ids of packages that came to be on this device and are in no vault, by all that is known here. */
function unstoredIds(core: Core): ReadonlySet<string> {
  const own = core.ledger
    .prepare<[], { id: string; packageDigest: string }>(
      `SELECT DISTINCT package_id AS id, json_extract(details, '$.packageDigest') AS packageDigest FROM custody_events
       WHERE type IN ('package-sealed', 'package-imported') ORDER BY id`,
    )
    .all();
  return new Set(own.filter((row) => storedIn(core, row) === null).map(({ id }) => id));
}

function gone(packageId: string, folder: string): FailureError {
  return fail(
    "PACKAGE_NOT_HELD",
    `Package ${packageId} was on this device and is in no vault, and now ${folder} is gone.`,
    "Bring the folder back, or restore the package from a backup.",
    { subject: folder },
  );
}
