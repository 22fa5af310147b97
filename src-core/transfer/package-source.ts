import { join } from "node:path";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { Seal } from "../../src-contract/seal.ts";
import { findPackages } from "../catalog/package-rows.ts";
import type { Core } from "../core.ts";
import { listEngagements } from "../engagement/engagements.ts";
import { asFailure, fail } from "../failing.ts";
import {
  type LocalPackage,
  loadPackage,
  openArchive,
  requireSealedManifest,
  resolvePackage,
} from "../package/package-store.ts";
import type { RangeSource, Vault } from "../ports.ts";
import { listStoredPackages } from "../vault/vault-keys.ts";
import { openVaultByName } from "../vault/vault-registry.ts";
import { findStored, openStoredArchive, pullManifest } from "./pull-package.ts";

/** Where a package's bytes can be had: its vault, this device, or both. */
export interface PackagePlace {
  readonly packageId: string;
  readonly engagement: string;
  readonly seal: Seal;
  readonly sealBytes: Uint8Array;
  readonly packageDigest: string;
  readonly stored: { readonly vaultName: string; readonly vault: Vault } | null;
  readonly local: LocalPackage | null;
}

/**
 * Finds a package by id or the beginning of one, on this device and, where it is not known here, in the vaults of all engagements.
 * The vault is preferred for reading; a vault that cannot be reached is passed over when the package is held here.
 * Throws PACKAGE_NOT_FOUND, ID_AMBIGUOUS, or the vault's failure.
 */
export async function locatePackage(core: Core, ref: string): Promise<PackagePlace> {
  if (findPackages(core.catalog, ref.toLowerCase(), 1).length === 0) {
    const found = await findInVaults(core, ref.toLowerCase());
    if (found !== null) return found;
  }
  const { id, engagement } = resolvePackage(core, ref);
  const local = await loadPackage(core, id);
  const { seal, sealBytes, packageDigest } = local;
  return {
    packageId: id,
    engagement,
    seal,
    sealBytes,
    packageDigest,
    local,
    stored: await storedPlace(core, local),
  };
}

async function storedPlace(core: Core, local: LocalPackage): Promise<PackagePlace["stored"]> {
  const { engagement, packageId } = local.seal;
  const vaultName = listEngagements(core).find(({ id }) => id === engagement)?.vault ?? null;
  if (vaultName === null) return null;
  try {
    const vault = await openVaultByName(core, vaultName);
    const { stored } = await findStored(vault, engagement, packageId);
    return stored.packageDigest === local.packageDigest ? { vaultName, vault } : null;
  } catch (error) {
    const { code } = asFailure(error).failure;
    if (code === "PACKAGE_NOT_STORED" || (code === "VAULT_UNREACHABLE" && local.holding === "held"))
      return null;
    throw error;
  }
}

async function findInVaults(core: Core, prefix: string): Promise<PackagePlace | null> {
  const found: PackagePlace[] = [];
  for (const { id: engagement, vault: vaultName } of listEngagements(core)) {
    if (vaultName === null) continue;
    const vault = await openVaultByName(core, vaultName);
    for await (const { packageId } of listStoredPackages(vault, engagement)) {
      if (!packageId.startsWith(prefix)) continue;
      const { stored } = await findStored(vault, engagement, packageId);
      const { seal, sealBytes, packageDigest } = stored;
      found.push({
        packageId,
        engagement,
        seal,
        sealBytes,
        packageDigest,
        local: null,
        stored: { vaultName, vault },
      });
    }
  }
  const [first, second] = found;
  if (first !== undefined && second !== undefined) {
    const candidates = found.map(({ packageId }) => packageId);
    throw fail(
      "ID_AMBIGUOUS",
      `${prefix} is the beginning of more than one package id: ${candidates.join(", ")}.`,
      "Give more characters of the id.",
      { subject: prefix, details: { candidates } },
    );
  }
  return first ?? null;
}

/** The archive for reading in ranges. Throws PACKAGE_NOT_HELD when it is nowhere to be had. */
export async function openPlacedArchive(place: PackagePlace): Promise<RangeSource> {
  if (place.local !== null && (place.local.holding === "held" || place.stored === null))
    return openArchive(place.local);
  if (place.stored === null) {
    throw fail(
      "PACKAGE_NOT_HELD",
      `Package ${place.packageId} is neither on this device nor in a vault.`,
      "Push it from the device that holds it.",
      {
        subject: place.packageId,
      },
    );
  }
  const { object } = await findStored(place.stored.vault, place.engagement, place.packageId);
  return openStoredArchive(place.stored.vault, object);
}

/** The path of manifest.json: the local one, or fetched into `scratch` and held against the seal. */
export async function manifestOf(
  place: PackagePlace,
  scratch: string,
  options: CallOptions,
): Promise<string> {
  if (place.local !== null) {
    await requireSealedManifest(place.local);
    return place.local.manifestFile;
  }
  if (place.stored === null) throw new Error("a package is local or stored");
  const { stored } = await findStored(place.stored.vault, place.engagement, place.packageId);
  const file = join(scratch, "manifest.json");
  await pullManifest(place.stored.vault, stored, file, options.signal);
  return file;
}
