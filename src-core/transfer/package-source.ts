import { join } from "node:path";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { Seal } from "../../src-contract/seal.ts";
import type { PackageSummary } from "../../src-contract/vault-api.ts";
import { type KeptManifest, requireKept } from "../catalog/kept-packages.ts";
import { findPackages } from "../catalog/package-rows.ts";
import { vaultPackage } from "../catalog/vault-packages.ts";
import type { Core } from "../core.ts";
import { listEngagements } from "../engagement/engagements.ts";
import { asFailure, type FailureError, fail } from "../failing.ts";
import {
  type LocalPackage,
  loadPackage,
  openArchive,
  requireSealedManifest,
  resolvePackage,
} from "../package/package-store.ts";
import { parseSeal } from "../package/seal-file.ts";
import type { ObjectInfo, RangeSource, Vault } from "../ports.ts";
import { keysOfSeal, listStoredPackages } from "../vault/vault-keys.ts";
import { openVaultByName } from "../vault/vault-registry.ts";
import { findStored, openStoredArchive, pullManifest } from "./pull-package.ts";

/** Where a package's bytes can be had. */
export interface PackagePlace {
  readonly packageId: string;
  readonly engagement: string;
  readonly seal: Seal;
  readonly sealBytes: Uint8Array;
  readonly packageDigest: string;
  /** The vault that holds it, where its bytes are to be read from there. */
  readonly stored: { readonly vaultName: string; readonly vault: Vault } | null;
  readonly local: LocalPackage | null;
  /** The sealed manifest of a package that is not on this device, from the catalog. */
  readonly manifest: KeptManifest | null;
}

/**
 * Finds a package by id or the beginning of one: on this device, among those that syncs saw in vaults, and where it is known in neither, in the vaults
 * of all engagements. With `need` `bytes` its vault is opened, unless this device holds it; with `manifest` only where it is not known here.
 * Throws PACKAGE_NOT_FOUND, ID_AMBIGUOUS, or the vault's failure.
 */
export async function locatePackage(
  core: Core,
  ref: string,
  need: "bytes" | "manifest" = "bytes",
): Promise<PackagePlace> {
  if (findPackages(core.catalog, ref.toLowerCase(), 1).length === 0) {
    const found = await findInVaults(core, ref.toLowerCase());
    if (found !== null) return found;
  }
  const summary = resolvePackage(core, ref);
  if (summary.holding === "remote") return remotePlace(core, summary, need);
  const { id: packageId, engagement } = summary;
  const local = await loadPackage(core, packageId);
  const { seal, sealBytes, packageDigest, holding } = local;
  const stored = need === "bytes" && holding === "reference" ? await storedPlace(core, local) : null;
  return { packageId, engagement, seal, sealBytes, packageDigest, local, stored, manifest: null };
}

/** A package that is only in a vault, by what the catalog keeps of it: nothing of it is asked of the vault here. */
async function remotePlace(
  core: Core,
  summary: PackageSummary,
  need: "bytes" | "manifest",
): Promise<PackagePlace> {
  const { id: packageId, engagement, packageDigest } = summary;
  const { sealBytes, manifest } = requireKept(core.catalog, packageId, packageDigest);
  const stored = need === "bytes" ? await vaultOfRemote(core, summary) : null;
  const seal = parseSeal(sealBytes);
  return { packageId, engagement, seal, sealBytes, packageDigest, local: null, stored, manifest };
}

async function vaultOfRemote(core: Core, summary: PackageSummary): Promise<PackagePlace["stored"]> {
  const vaultName = summary.storedIn ?? vaultPackage(core.catalog, summary.id)?.vault ?? null;
  if (vaultName === null) return null;
  try {
    return { vaultName, vault: await openVaultByName(core, vaultName) };
  } catch (error) {
    throw outOfReach(summary, vaultName, asFailure(error));
  }
}

/** Says of a package whose vault cannot be reached what that means for whoever wants its bytes. */
function outOfReach({ id, name }: PackageSummary, vaultName: string, cause: FailureError): FailureError {
  const { code, message, nextStep, details } = cause.failure;
  if (code !== "VAULT_UNREACHABLE") return cause;
  return fail(
    "VAULT_UNREACHABLE",
    `The content of package ${name} (${id}) is not on this device but in vault ${vaultName}, which cannot be reached now. ${message}`,
    `${nextStep} Until then its list of files can be looked at: strongroom package files ${id}`,
    { subject: id, cause, ...(details === undefined ? {} : { details: { ...details } }) },
  );
}

/** A vault that does not hold this very seal is none for it. */
async function storedPlace(core: Core, local: LocalPackage): Promise<PackagePlace["stored"]> {
  const { engagement, packageId } = local.seal;
  const vaultName = listEngagements(core).find(({ id }) => id === engagement)?.vault ?? null;
  if (vaultName === null) return null;
  try {
    const vault = await openVaultByName(core, vaultName);
    const { stored } = await findStored(vault, engagement, packageId);
    return stored.packageDigest === local.packageDigest ? { vaultName, vault } : null;
  } catch (error) {
    if (asFailure(error).failure.code === "PACKAGE_NOT_STORED") return null;
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
        manifest: null,
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
  return openStoredArchive(place.stored.vault, await storedArchive(place.stored.vault, place));
}

/** The object that holds the archive, by one request where it is as the seal says. Throws what is wrong with it. */
async function storedArchive(vault: Vault, place: PackagePlace): Promise<ObjectInfo> {
  const object = await vault.head(keysOfSeal(place.seal).archive);
  if (object?.size === place.seal.archiveSize) return object;
  return (await findStored(vault, place.engagement, place.packageId)).object;
}

/** manifest.json as it was sealed: on this device, in the catalog, or fetched into `scratch` and held against the seal. */
export async function manifestOf(
  place: PackagePlace,
  scratch: string,
  options: CallOptions,
): Promise<string | RangeSource> {
  if (place.local !== null) {
    await requireSealedManifest(place.local);
    return place.local.manifestFile;
  }
  if (place.manifest !== null) {
    await place.manifest.requireSealed(place.seal.manifestSha256, options.signal);
    return place.manifest;
  }
  if (place.stored === null) throw new Error("a package is local or stored");
  const { stored } = await findStored(place.stored.vault, place.engagement, place.packageId);
  const file = join(scratch, "manifest.json");
  await pullManifest(place.stored.vault, stored, file, options);
  return file;
}
