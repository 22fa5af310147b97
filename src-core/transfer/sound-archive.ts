import type { Finding } from "../../src-contract/findings.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { Seal } from "../../src-contract/seal.ts";
import type { Core } from "../core.ts";
import { fail } from "../failing.ts";
import { sealedHere } from "../package/build-journal.ts";
import { verifyArchive } from "../verify/verify-archive.ts";
import { type LandingArchive, verifyLanding } from "../verify/verify-landing.ts";

/**
 * Verifies an archive before its content is used; every file of it, too, when it was sealed elsewhere, since a seal may fix an archive whose
 * manifests lie about its files. Throws NOT_VALID with all findings.
 */
export async function requireSoundArchive(
  core: Core,
  archive: {
    readonly archivePath: string;
    readonly seal: Seal;
    readonly packageDigest: string;
    /** Every part was held against the seal as it was written, just now. */
    readonly partsVerified?: boolean;
    /** False where the archive itself is what is wanted, bit for bit: its files are held against its manifests when it is verified first. */
    readonly files?: boolean;
  },
  options: CallOptions,
): Promise<void> {
  const { archivePath, seal, packageDigest, partsVerified = false, files = true } = archive;
  const known = sealedHere(core, seal.packageId, packageDigest);
  const { findings } = await verifyArchive(
    { archivePath, seal, full: files && !known, known, partsVerified },
    options,
  );
  requireNoErrors(seal, findings);
}

/** As `requireSoundArchive` for an archive that was sealed elsewhere, while it is still being written. */
export async function requireSoundLanding(archive: LandingArchive, options: CallOptions): Promise<void> {
  requireNoErrors(archive.seal, await verifyLanding(archive, options));
}

function requireNoErrors(seal: Seal, findings: readonly Finding[]): void {
  const errors = findings.filter((finding) => finding.severity === "error");
  const [first] = errors;
  if (first === undefined) return;
  throw fail(
    "NOT_VALID",
    `Package ${seal.packageId} is not valid: ${errors.length} errors. The first: ${first.path ?? seal.archive}: ${first.message}`,
    "Ask whoever sealed it; do not rely on this package.",
    { subject: seal.packageId, details: { findings } },
  );
}
