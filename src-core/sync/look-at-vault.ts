import type { Failure } from "../../src-contract/failure.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import { keptSignatureVersions } from "../catalog/kept-packages.ts";
import { packageRow } from "../catalog/package-rows.ts";
import {
  clearGone,
  markGone,
  type VaultPackage,
  vaultPackage,
  vaultPackagesIn,
} from "../catalog/vault-packages.ts";
import { asFailure, fail } from "../failing.ts";
import { rfc3339FromMs } from "../package/times.ts";
import { LARGEST_SIGNATURE } from "../transfer/pull-package.ts";
import { listStoredPackages, type StoredPackage, sealKey } from "../vault/vault-keys.ts";
import { requireWhole, type SyncPlace } from "./learn-package.ts";

/** What a look through a vault's listing showed. */
export interface Look {
  /** Packages that the vault holds. */
  readonly stored: number;
  /** Those that must be read: new, or not as they were. */
  readonly toLearn: readonly StoredPackage[];
  /** What the listing alone shows to be wrong. */
  readonly problems: readonly { readonly packageId: string; readonly failure: Failure }[];
}

/**
 * Goes through the listing of an engagement's packages once and holds it against the catalog; nothing else is asked of the vault but for packages that
 * are gone. Those are marked; so is what is not whole any more.
 */
export async function lookAtVault(place: SyncPlace, options: CallOptions): Promise<Look> {
  const { core, vault, engagement } = place;
  // Before the listing: what others store meanwhile cannot be missed in it.
  const expected = expectedPackages(place);
  const toLearn: StoredPackage[] = [];
  const problems: { packageId: string; failure: Failure }[] = [];
  let stored = 0;
  for await (const found of listStoredPackages(vault, engagement, options.signal)) {
    stored++;
    expected.delete(found.packageId);
    options.onProgress?.({ phase: "look", done: stored, unit: "packages", subject: engagement });
    if (!isKnown(place, found)) toLearn.push(found);
    else problems.push(...knownProblems(place, found));
    problems.push(...crowdProblems(place, found));
  }
  for (const known of expected.values()) {
    // A listing that came late is no proof of loss.
    if ((await vault.head(sealKey(engagement, known.packageId), options.signal)) !== null) continue;
    markGone(core.catalog, known, rfc3339FromMs(core.clock.now()));
    problems.push({ packageId: known.packageId, failure: vanished(place, known.packageId) });
  }
  return { stored, toLearn, problems };
}

type Expected = Pick<VaultPackage, "packageId" | "engagement" | "vault" | "packageDigest">;

/** What should be in the vault: what a sync saw there, and what this device stored there by its ledger, which outlives the catalog. */
function expectedPackages({ core, engagement, vaultName }: SyncPlace): Map<string, Expected> {
  const own = core.ledger
    .prepare<[string, string], { packageId: string; packageDigest: string }>(
      `SELECT package_id AS packageId, package_digest AS packageDigest FROM stored_packages
       WHERE vault = ? AND package_id IN (SELECT package_id FROM custody_events WHERE engagement = ?)`,
    )
    .all(vaultName, engagement)
    .map((row) => ({ ...row, engagement, vault: vaultName }));
  const all = [...own, ...vaultPackagesIn(core.catalog, engagement, vaultName)];
  return new Map(all.map((row) => [row.packageId, row]));
}

/** Whether the catalog has all of the package that a sync keeps, and the vault's seal is the one that was read. */
function isKnown({ core, vaultName, engagement }: SyncPlace, found: StoredPackage): boolean {
  const seen = vaultPackage(core.catalog, found.packageId);
  const here = packageRow(core.catalog, found.packageId);
  if (seen === null || here === null || seen.packageDigest !== here.packageDigest) return false;
  if (seen.vault !== vaultName || seen.engagement !== engagement || seen.sealVersion !== found.seal.version)
    return false;
  if (here.holding !== "remote") return true;
  const signatures = keptSignatureVersions(core.catalog, found.packageId);
  const isKept = ([name, info]: readonly [string, { readonly version: string; readonly size: number }]) =>
    info.size > LARGEST_SIGNATURE || signatures.get(name) === info.version;
  return seen.kept && [...found.signatures].every(isKept);
}

function knownProblems(place: SyncPlace, found: StoredPackage): Look["problems"] {
  const { core, vaultName } = place;
  const { packageId } = found;
  const here = packageRow(core.catalog, packageId);
  if (here === null) return [];
  try {
    requireWhole(place, found, { archive: `${here.name}.tar`, archiveSize: here.archiveSize });
    clearGone(core.catalog, packageId);
  } catch (error) {
    const seen = vaultPackage(core.catalog, packageId);
    if (seen !== null) markGone(core.catalog, seen, rfc3339FromMs(core.clock.now()));
    return [{ packageId, failure: asFailure(error).failure }];
  }
  const lost = [...keptSignatureVersions(core.catalog, packageId).keys()].filter(
    (name) => !found.signatures.has(name),
  );
  if (lost.length === 0 || found.crowded) return [];
  const { failure } = fail(
    "OBJECT_CHANGED",
    `Signatures of package ${packageId} were in vault ${vaultName} and are not there any more: ${lost.join(", ")}.`,
    "Find out who removed them. They are kept in this device's catalog.",
    { subject: packageId, details: { signatures: lost } },
  );
  return [{ packageId, failure }];
}

function crowdProblems({ vaultName }: SyncPlace, { packageId, crowded }: StoredPackage): Look["problems"] {
  if (!crowded) return [];
  const { failure } = fail(
    "NOT_VALID",
    `Package ${packageId} has more signatures or archives in vault ${vaultName} than any package has; not all of them were looked at.`,
    "Find out who put them there.",
    { subject: packageId },
  );
  return [{ packageId, failure }];
}

function vanished({ core, vaultName, engagement }: SyncPlace, packageId: string): Failure {
  const here = packageRow(core.catalog, packageId);
  const since = vaultPackage(core.catalog, packageId)?.gone ?? "now";
  const held = here !== null && here.holding !== "remote";
  return fail(
    "PACKAGE_NOT_STORED",
    `Package ${packageId} of engagement ${engagement} was in vault ${vaultName} and is not there any more (missed since ${since}).`,
    held
      ? `Find out who removed it. This device holds it: strongroom package push ${packageId}`
      : "Find out who removed it; push it again from a device that holds it. Its list of files is kept here.",
    { subject: packageId },
  ).failure;
}
