import type { Finding } from "../../src-contract/findings.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { Seal } from "../../src-contract/seal.ts";
import { createHashPool } from "../digest/hash-pool.ts";
import type { Landing } from "../digest/landing.ts";
import { asFailure } from "../failing.ts";
import type { readManifest } from "../package/manifest-reader.ts";
import { checkLayoutIn, compareFiles } from "./verify-archive.ts";

/** An archive that is being written while it is verified. */
export interface LandingArchive {
  /** Where it is written. It keeps this name until it is verified. */
  readonly archivePath: string;
  readonly seal: Seal;
  /** manifest.json, held against the seal. */
  readonly manifest: Parameters<typeof readManifest>[0];
  readonly landing: Landing;
  /** Settles when every part is written, and each was held against the seal; fails when they never will be. */
  readonly whole: Promise<void>;
}

/**
 * Holds an archive's files, headers and manifests against each other and against the seal while its parts still come in: the digest of a large
 * file is one chain of work, and after the last part it would take as long as it takes. `archiveSha256` is left to `verify --full`: it says of the bytes
 * what the parts have said already. Fails as `whole` does.
 */
export async function verifyLanding(
  { archivePath, seal, manifest, landing, whole }: LandingArchive,
  options: CallOptions,
): Promise<readonly Finding[]> {
  const pool = createHashPool();
  try {
    const [layout, ofFiles] = await Promise.all([
      whole.then(() => checkLayoutIn(pool, { archivePath, seal })),
      compareFiles(pool, archivePath, manifest, () => true, { ...options, landing }).catch(unlessUnreadable),
    ]);
    return [...layout.findings, ...ofFiles];
  } finally {
    await pool.close();
  }
}

/** That a manifest is none is found in the archive, which holds the same bytes. */
function unlessUnreadable(error: unknown): readonly Finding[] {
  if (asFailure(error).failure.code === "MANIFEST_INVALID") return [];
  throw error;
}
