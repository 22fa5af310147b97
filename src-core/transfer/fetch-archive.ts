import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { Core } from "../core.ts";
import { inDraftFolder } from "../draft-folder.ts";
import { createFileDurably, syncTree } from "../durable-files.ts";
import { sealedHere } from "../package/build-journal.ts";
import { besidePackage } from "../package/package-name.ts";
import { signatureFiles } from "../package/package-store.ts";
import { manifestOf, openPlacedArchive, type PackagePlace } from "./package-source.ts";
import { pullPackage } from "./pull-package.ts";
import type { RunOptions } from "./queue-run.ts";
import type { ExamineLanding } from "./receive-archive.ts";
import { requireSoundLanding } from "./sound-archive.ts";
import { writeArchive } from "./write-archive.ts";

export interface FetchOptions extends CallOptions, Pick<RunOptions, "retry"> {
  /** Its files, too, are held against its manifests, unless it was sealed on this device. */
  readonly files: boolean;
  /** Bytes that will be needed in the folder once the package is there. */
  readonly roomAfter?: number;
  /** All has come, and is still being verified. */
  readonly onChecking?: () => void;
}

export interface FetchedArchive {
  readonly archivePath: string;
  /** It was verified on its way as `requireSoundArchive` does it. */
  readonly sound: boolean;
}

/** Brings `<name>.tar`, `<name>.signatures/` and, last, `<name>.seal.json` into a folder. */
export async function fetchArchive(
  core: Core,
  place: PackagePlace,
  to: string,
  options: FetchOptions,
): Promise<FetchedArchive> {
  const { local, stored } = place;
  if (stored !== null && local?.holding !== "held") {
    const files = options.files && !sealedHere(core, place.packageId, place.packageDigest);
    const pulled = await pullPackage({
      vault: stored.vault,
      vaultName: stored.vaultName,
      db: core.ledger,
      engagement: place.engagement,
      packageId: place.packageId,
      packageDigest: place.packageDigest,
      folder: to,
      clock: core.clock,
      signal: options.signal,
      onProgress: options.onProgress,
      retry: options.retry,
      roomAfter: options.roomAfter,
      onState: (state) => {
        if (state === "checking") options.onChecking?.();
      },
      examine: files ? examineIn(place, to, options) : undefined,
    });
    return { archivePath: pulled.archive, sound: pulled.examined };
  }
  const target = join(to, place.seal.archive);
  const archive = await openPlacedArchive(place);
  try {
    await writeArchive(archive, place.seal, target, options);
  } finally {
    await archive.close();
  }
  if (local !== null) {
    const signatures = await signatureFiles(join(local.folder, "signatures"));
    const { sealFile, signatures: folder } = besidePackage(place.seal, to);
    if (signatures.length > 0) await mkdir(folder, { recursive: true });
    for (const { name, path } of signatures) await copyFile(path, join(folder, name));
    if (signatures.length > 0) await syncTree(folder);
    await createFileDurably(sealFile, local.sealBytes);
  }
  return { archivePath: target, sound: false };
}

/**
 * A manifest that has to be fetched for it lies beside the archive as long as it is needed. Where it cannot be had on its own, the one in the archive
 * has to do, when that is there.
 */
function examineIn(place: PackagePlace, folder: string, { signal }: FetchOptions): ExamineLanding {
  const { seal } = place;
  const options = signal === undefined ? {} : { signal };
  return (archivePath, landing, whole) =>
    inDraftFolder(folder, "examine", async (scratch) => {
      const manifest = await manifestOf(place, scratch, options).catch(() => null);
      if (manifest === null) return false;
      await requireSoundLanding({ archivePath, seal, manifest, landing, whole }, options);
      return true;
    });
}
