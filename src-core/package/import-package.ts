import { copyFile, mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { PackageSummary, ParsedRequest } from "../../src-contract/vault-api.ts";
import { openFileSource } from "../archive/file-source.ts";
import type { Core } from "../core.ts";
import { createFileDurably, exists } from "../durable-files.ts";
import { joinEngagement, leaveEngagement } from "../engagement/engagements.ts";
import { asFailure, fail, throwIfCancelled } from "../failing.ts";
import { requireSoundArchive } from "../transfer/sound-archive.ts";
import { writeArchive } from "../transfer/write-archive.ts";
import { ArchiveBytes } from "../verify/archive-bytes.ts";
import { checkSignatures } from "../verify/check-signatures.ts";
import { type FoundSeal, findTarget } from "../verify/find-target.ts";
import { findTagEntries } from "../verify/tag-entries.ts";
import { verifySealedBag } from "../verify/verify-bag.ts";
import { openBuildJournal, publishDraft } from "./build-journal.ts";
import { packageName } from "./package-name.ts";
import { draftFolder, packageFolder, removeFolder, resolvePackage, signatureFiles } from "./package-store.ts";
import { runThread } from "./run-thread.ts";

/**
 * Takes a sealed package that came by other ways (a handover, a pulled tar or bag) into this device's packages. It is verified in
 * full first; an unpacked bag becomes the sealed archive again, to the byte. What is here already is verified, too, and not taken again.
 * Throws SEAL_NOT_FOUND for a bag that was never sealed, NOT_VALID, OBJECT_CONFLICT for another seal under the same id.
 */
export async function importPackage(
  core: Core,
  request: ParsedRequest<"packageImport">,
  options: CallOptions,
): Promise<PackageSummary> {
  const path = resolve(request.path);
  const { path: found, folder: isBag, seal } = await findTarget(path, undefined);
  if (seal === null) {
    throw fail(
      "SEAL_NOT_FOUND",
      `${path} has no seal beside it (a file that ends in .seal.json), so nothing proves what it held.`,
      "Bring the seal along; or seal it as new evidence: strongroom package build ENGAGEMENT PATH --name NAME",
      { subject: path },
    );
  }
  const { packageId, engagement } = seal.seal;
  if (await exists(packageFolder(core, packageId))) {
    const here = alreadyHere(core, seal);
    await requireSoundOffer(core, { found, isBag, seal }, options);
    return here;
  }
  const joined = joinEngagement(core, engagement);
  const folder = draftFolder(core, packageId);
  const journal = openBuildJournal(core, { packageId, engagement, origin: "package-imported" });
  try {
    await mkdir(folder, { mode: 0o700 });
    const archivePath = join(folder, seal.seal.archive);
    journal.enter("hashing");
    if (isBag) await repack(found, seal, folder, options);
    else await copyArchive(found, seal, archivePath, options);
    await requireSoundArchive(core, { archivePath, seal: seal.seal, packageDigest: seal.digest }, options);
    await requireValidSignatures(seal);
    journal.enter("finishing");
    await takeManifest(archivePath, seal, folder);
    await takeSignatures(seal, folder);
    await createFileDurably(join(folder, "seal.json"), seal.bytes);
    throwIfCancelled(options.signal);
    journal.enter("publishing");
    await publishDraft(core, { packageId, sealBytes: seal.bytes, origin: "package-imported" });
    journal.close();
    return resolvePackage(core, packageId);
  } catch (error) {
    await removeFolder(folder);
    if (!(await exists(packageFolder(core, packageId)))) {
      journal.close();
      if (joined) leaveEngagement(core, engagement);
    }
    throw asFailure(error, path);
  }
}

function alreadyHere(core: Core, seal: FoundSeal): PackageSummary {
  const summary = resolvePackage(core, seal.seal.packageId);
  if (summary.packageDigest === seal.digest) return summary;
  throw fail(
    "OBJECT_CONFLICT",
    `Package ${summary.id} is on this device with another seal: ${summary.packageDigest} here, ${seal.digest} in ${seal.file}.`,
    "Two seals with one id cannot both be right: ask whoever sealed it.",
    { subject: summary.id, details: { here: summary.packageDigest, offered: seal.digest } },
  );
}

/** A copy of what is here already is verified all the same: who imports it may rely on it, and throw another one away. */
async function requireSoundOffer(
  core: Core,
  offer: { readonly found: string; readonly isBag: boolean; readonly seal: FoundSeal },
  options: CallOptions,
): Promise<void> {
  const { found, isBag, seal } = offer;
  if (isBag) {
    const { findings } = await verifySealedBag(found, seal, options);
    const first = findings.find((finding) => finding.severity === "error");
    if (first !== undefined) {
      throw fail(
        "NOT_VALID",
        `${found} is not what was sealed; the package on this device is another copy. The first error: ${first.path ?? ""}: ${first.message}`,
        `See all findings with: strongroom verify ${found}`,
        { subject: first.path ?? found, details: { findings } },
      );
    }
  } else {
    const archive = { archivePath: found, seal: seal.seal, packageDigest: seal.digest };
    await requireSoundArchive(core, archive, options);
  }
  await requireValidSignatures(seal);
}

async function repack(bag: string, { seal }: FoundSeal, folder: string, options: CallOptions): Promise<void> {
  const cancel = new SharedArrayBuffer(4);
  const script = new URL("./repack-thread.ts", import.meta.url);
  await runThread(script, { bag, seal, folder, cancel }, options, () => {
    Atomics.store(new Int32Array(cancel), 0, 1);
  });
  await removeFolder(join(folder, "plan.records"));
  await removeFolder(join(folder, "plan.index"));
}

async function copyArchive(
  from: string,
  { seal }: FoundSeal,
  to: string,
  options: CallOptions,
): Promise<void> {
  const source = await openFileSource(from);
  try {
    if (source.size !== seal.archiveSize) {
      throw fail(
        "NOT_VALID",
        `${from} has ${source.size} bytes instead of the sealed ${seal.archiveSize}.`,
        `See all findings with: strongroom verify ${from}`,
        { subject: from },
      );
    }
    await writeArchive(source, seal, to, options);
  } finally {
    await source.close();
  }
}

async function requireValidSignatures(seal: FoundSeal): Promise<void> {
  const { findings } = await checkSignatures(seal.signatures, seal.digest);
  const [first] = findings;
  if (first === undefined) return;
  throw fail(
    "NOT_VALID",
    `A signature beside package ${seal.seal.packageId} is not valid: ${first.path ?? ""}: ${first.message}`,
    "Ask whoever sealed it; a package without this signature can be imported.",
    { subject: first.path ?? seal.signatures, details: { findings } },
  );
}

/** manifest.json also lies beside the archive, so that the package can be listed without opening it. */
async function takeManifest(archivePath: string, { seal }: FoundSeal, folder: string): Promise<void> {
  const archive = new ArchiveBytes(archivePath);
  try {
    const topFolder = packageName(seal);
    const entry = findTagEntries(archive, topFolder).tags.find(
      (tag) => tag.path === `${topFolder}/manifest.json`,
    );
    if (entry === undefined) throw new Error("a sound archive holds manifest.json");
    await createFileDurably(join(folder, "manifest.json"), archive.chunks(entry.contentOffset, entry.size));
  } finally {
    archive.close();
  }
}

async function takeSignatures(seal: FoundSeal, folder: string): Promise<void> {
  const signatures = await signatureFiles(seal.signatures);
  if (signatures.length > 0) await mkdir(join(folder, "signatures"));
  for (const { name, path } of signatures) await copyFile(path, join(folder, "signatures", name));
}
