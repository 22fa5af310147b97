import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { ManifestHeader } from "../../src-contract/manifest.ts";
import type { CancelSignal } from "../../src-contract/progress.ts";
import type { Seal } from "../../src-contract/seal.ts";
import { openFileSource } from "../archive/file-source.ts";
import { keepManifest, keepPackage, keepSignature, keptSignatureVersions } from "../catalog/kept-packages.ts";
import { addRemotePackage, packageRow } from "../catalog/package-rows.ts";
import { sightPackage, vaultPackage } from "../catalog/vault-packages.ts";
import type { Core } from "../core.ts";
import { fail, throwIfCancelled } from "../failing.ts";
import { readManifest } from "../package/manifest-reader.ts";
import { packageName } from "../package/package-name.ts";
import type { RangeSource, Vault } from "../ports.ts";
import { LARGEST_SIGNATURE, pullManifest } from "../transfer/pull-package.ts";
import { readListed, readListedSeal, type StoredSeal } from "../transfer/stored-seal.ts";
import type { StoredPackage } from "../vault/vault-keys.ts";

/** The engagement that is synced, with its vault. */
export interface SyncPlace {
  readonly core: Core;
  readonly engagement: string;
  readonly vaultName: string;
  /** Tries small requests again by itself. */
  readonly vault: Vault;
}

/**
 * Makes the catalog know one package of a vault: its seal, and where this device does not hold it, its manifest and signatures. All of it is
 * the word of others: only what the seal proves is kept. Answers whether the package is new here.
 * Throws SEAL_INVALID, OBJECT_CONFLICT, NOT_VALID, PACKAGE_NOT_STORED, DIGEST_MISMATCH, MANIFEST_INVALID for what is wrong with this package.
 */
export async function learnPackage(
  place: SyncPlace,
  found: StoredPackage,
  scratch: string,
  signal: CancelSignal | undefined,
): Promise<boolean> {
  const { core, vault, vaultName, engagement } = place;
  const stored = await readListedSeal(vault, found.seal, signal);
  const { packageDigest } = stored;
  const here = requireSameSeal(place, found.packageId, packageDigest);
  requireWhole(place, found, stored.seal);
  const sighting = {
    ...{ packageId: found.packageId, engagement, vault: vaultName, packageDigest },
    sealVersion: found.seal.version,
  };
  if (here !== null && here.holding !== "remote") {
    sightPackage(core.catalog, sighting);
    return false;
  }
  const signatures = await fetchSignatures(place, found, signal);
  const keep = (kept?: { readonly header: ManifestHeader; readonly manifestSize: number }): boolean =>
    core.catalog
      .transaction(() => {
        requireSameSeal(place, found.packageId, packageDigest);
        sightPackage(core.catalog, sighting);
        for (const signature of signatures) keepSignature(core.catalog, found.packageId, signature);
        if (kept === undefined) return false;
        keepPackage(core.catalog, {
          ...sighting,
          sealBytes: stored.sealBytes,
          manifestSize: kept.manifestSize,
        });
        return addRemotePackage(core.catalog, { seal: stored.seal, manifest: kept.header, packageDigest });
      })
      .immediate();
  const known = vaultPackage(core.catalog, found.packageId);
  if (here !== null && known?.kept === true && known.packageDigest === packageDigest) return keep();
  const manifest = await takeManifest(place, found, stored, scratch, signal);
  return keep(manifest);
}

/** What this device knows of the package; OBJECT_CONFLICT when that is another seal. */
function requireSameSeal(
  { core, engagement, vaultName }: SyncPlace,
  packageId: string,
  packageDigest: string,
) {
  const here = packageRow(core.catalog, packageId);
  if (here === null || here.packageDigest === packageDigest) return here;
  const ours =
    here.holding === "remote"
      ? "than the one that was learnt before"
      : "than this device, which keeps its own";
  throw fail(
    "OBJECT_CONFLICT",
    `Vault ${vaultName} holds another seal of package ${packageId} of engagement ${engagement} ${ours}: ${packageDigest} there, ${here.packageDigest} here.`,
    "Nothing stored is ever rewritten: find out who put it there. Two seals with one id cannot both be right.",
    { subject: packageId, details: { here: here.packageDigest, stored: packageDigest } },
  );
}

/** Throws NOT_VALID or PACKAGE_NOT_STORED when the vault holds a package's seal, but not all that belongs to it, by the listing's sizes. */
export function requireWhole(
  { vaultName }: SyncPlace,
  found: Omit<StoredPackage, "seal">,
  sealed: Pick<Seal, "archive" | "archiveSize">,
): void {
  const archive = found.archives.get(sealed.archive);
  const what =
    archive === undefined
      ? `not its archive ${sealed.archive}`
      : `${sealed.archive} has ${archive.size} bytes there instead of ${sealed.archiveSize}`;
  if (archive?.size !== sealed.archiveSize) {
    throw fail(
      "NOT_VALID",
      `Vault ${vaultName} holds the seal of package ${found.packageId}, but ${what}.`,
      "Find out who changed the vault; push the package again from a device that holds it.",
      { subject: found.packageId, details: { sealed: sealed.archiveSize, stored: archive?.size ?? null } },
    );
  }
  if (found.manifest === null) {
    throw fail(
      "PACKAGE_NOT_STORED",
      `Vault ${vaultName} holds the seal of package ${found.packageId}, but not its manifest.json.`,
      "Find out who changed the vault; push the package again from a device that holds it.",
      { subject: found.packageId },
    );
  }
  // The archive holds the manifest too: what is larger is none, and need not be fetched.
  if (found.manifest.size >= sealed.archiveSize) {
    throw fail(
      "NOT_VALID",
      `manifest.json of package ${found.packageId} in vault ${vaultName} has ${found.manifest.size} bytes, more than the archive that holds it.`,
      "Find out who changed the vault.",
      { subject: found.packageId },
    );
  }
}

/** Fetches the manifest into the catalog, once its bytes are the sealed ones and every line of it is sound. */
async function takeManifest(
  { core, vault }: SyncPlace,
  found: StoredPackage,
  stored: StoredSeal,
  scratch: string,
  signal: CancelSignal | undefined,
): Promise<{ readonly header: ManifestHeader; readonly manifestSize: number }> {
  const file = join(scratch, `${found.packageId}.json`);
  await pullManifest(vault, stored, file, { signal, listed: found.manifest });
  try {
    const source = await openFileSource(file);
    try {
      const header = await soundHeader(source, stored, signal);
      await keepManifest(core.catalog, stored.packageDigest, source, signal);
      return { header, manifestSize: source.size };
    } finally {
      await source.close();
    }
  } finally {
    await rm(file);
  }
}

async function soundHeader(
  source: RangeSource,
  { seal, keys }: StoredSeal,
  signal: CancelSignal | undefined,
): Promise<ManifestHeader> {
  const { header, batches } = await readManifest(source, { signal, subject: keys.manifest });
  const expected = `${seal.packageId} ${packageName(seal)} ${seal.engagement}`;
  const actual = `${header.packageId} ${header.name} ${header.engagement}`;
  if (actual !== expected) {
    throw fail(
      "NOT_VALID",
      `${keys.manifest} is the manifest of another package than its seal says: ${actual} instead of ${expected}.`,
      "Ask whoever sealed it; do not rely on this package.",
      { subject: seal.packageId, details: { expected, actual } },
    );
  }
  for await (const _ of batches()) throwIfCancelled(signal);
  return header;
}

/** The envelopes that the catalog does not have as they are in the vault. What is too large is no signature and is left. */
async function fetchSignatures(
  { core, vault }: SyncPlace,
  found: StoredPackage,
  signal: CancelSignal | undefined,
) {
  const known = keptSignatureVersions(core.catalog, found.packageId);
  const fetched: { readonly name: string; readonly version: string; readonly bytes: Uint8Array }[] = [];
  for (const [name, info] of found.signatures) {
    if (known.get(name) === info.version) continue;
    const bytes = await readListed(vault, info, LARGEST_SIGNATURE, signal);
    if (bytes !== null) fetched.push({ name, version: info.version, bytes });
  }
  return fetched;
}
