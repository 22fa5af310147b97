import type { VerificationReport } from "../../src-contract/findings.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { ParsedRequest } from "../../src-contract/vault-api.ts";
import { findPackages } from "../catalog/package-rows.ts";
import { rememberArchive, rememberedArchive } from "../catalog/seen-archives.ts";
import type { Core } from "../core.ts";
import { asFailure } from "../failing.ts";
import { requireSealedManifest, resolvePackage } from "../package/package-store.ts";
import type { RangeSource } from "../ports.ts";
import { attestStored } from "../transfer/attest-stored.ts";
import { locatePackage, type PackagePlace } from "../transfer/package-source.ts";
import type { StoredVerdict } from "../transfer/stored-verdict.ts";
import { actorName, vaultOfPackage } from "../transfer/transport.ts";
import { verifyStored } from "../transfer/verify-stored.ts";
import type { FoundSeal } from "./find-target.ts";
import { isKnown, reportOf } from "./verification-report.ts";

/**
 * Verifies a package where it is stored: by what the store says of it, or with `full` by reading every byte. The seal of this device is trusted over
 * the vault's; a package that is only in the vault is held against the seal there.
 */
export async function verifyRemote(
  core: Core,
  request: Pick<ParsedRequest<"verify">, "target" | "full">,
  started: string,
  options: CallOptions,
): Promise<VerificationReport> {
  const { seal, sealFromVault, manifest, storedIn } = await sealToTrust(core, request.target);
  const { name, vault } = await vaultOfPackage(core, seal.seal);
  const { packageId } = seal.seal;
  const place = { packageId, vault: name, packageDigest: seal.digest };
  const question = {
    vault,
    seal: seal.seal,
    sealBytes: seal.bytes,
    packageDigest: seal.digest,
    sealFromVault,
    clock: core.clock,
    signal: options.signal,
    onProgress: options.onProgress,
  };
  const remembered = rememberedArchive(core.ledger, place);
  const verdict: StoredVerdict = request.full
    ? await verifyStored({ ...question, manifest, known: isKnown(core, seal) })
    : await attestStored({
        ...question,
        remembered,
        knownStored: remembered !== null || storedIn === name,
      });
  const { signatures, archive, ...verified } = verdict;
  const report = reportOf(core, request.target, {
    started,
    verified: { ...verified, files: 0 },
    seal,
    signatures,
  });
  if (archive !== null) {
    const { size, version, versionId } = archive;
    rememberArchive(core.ledger, place, {
      ...{ size, version, how: "read", by: actorName(core.device), time: report.finished },
      ...(versionId === undefined ? {} : { versionId }),
    });
  }
  return report;
}

interface TrustedSeal {
  readonly seal: Pick<FoundSeal, "seal" | "bytes" | "digest">;
  readonly sealFromVault: boolean;
  /** manifest.json as it was sealed, where this device has it. */
  readonly manifest: string | RangeSource | null;
  /** The vault in which this device knows the package to be. */
  readonly storedIn: string | null;
}

/** No request is made for a package whose seal is on this device, or was brought by a sync. */
async function sealToTrust(core: Core, ref: string): Promise<TrustedSeal> {
  const place = await locatePackage(core, ref, "manifest");
  const { seal, sealBytes, packageDigest, packageId, local } = place;
  const known = findPackages(core.catalog, packageId, 1).length > 0;
  return {
    seal: { seal, bytes: Buffer.from(sealBytes), digest: packageDigest },
    sealFromVault: local === null,
    manifest: await soundManifest(place),
    storedIn: known ? resolvePackage(core, packageId).storedIn : null,
  };
}

/** Null where this device has none, or has it no longer as it was sealed. */
async function soundManifest({ local, manifest, seal }: PackagePlace): Promise<string | RangeSource | null> {
  try {
    if (local === null) {
      await manifest?.requireSealed(seal.manifestSha256);
      return manifest;
    }
    await requireSealedManifest(local);
    return local.manifestFile;
  } catch (error) {
    const { code } = asFailure(error).failure;
    if (code === "DIGEST_MISMATCH" || code === "PACKAGE_DAMAGED" || code === "DATABASE_DAMAGED") return null;
    throw error;
  }
}
