import { createHash } from "node:crypto";
import { copyFile, mkdir, mkdtemp, readdir, rmdir } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { FileRecord } from "../../src-contract/manifest.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { ParsedRequest, PullResult } from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import { appendEvent } from "../custody/custody-log.ts";
import { inDraftFolder } from "../draft-folder.ts";
import { createFileDurably, exists, makeFolders, publishFile, syncTree } from "../durable-files.ts";
import { fail, throwIfCancelled, writeFailure } from "../failing.ts";
import { refuseInsideHome } from "../home.ts";
import { readManifest } from "../package/manifest-reader.ts";
import { packageName } from "../package/package-name.ts";
import { removeFolder, signatureFiles } from "../package/package-store.ts";
import { runThread } from "../package/run-thread.ts";
import { rfc3339FromMs } from "../package/times.ts";
import type { RangeSource } from "../ports.ts";
import { untilConfirmed } from "./confirmed-digest.ts";
import { leaseTransfer } from "./journal.ts";
import { locatePackage, manifestOf, openPlacedArchive, type PackagePlace } from "./package-source.ts";
import { dropScratch, makeReady, placeReady, readyName, refuseTaken, scratchFolder } from "./place-pulled.ts";
import { pullPackage } from "./pull-package.ts";
import { requireSoundArchive } from "./sound-archive.ts";
import { writeArchive } from "./write-archive.ts";

/**
 * Brings a package, or one file of it, into a folder. What arrives was verified against the seal on its way; nothing is overwritten.
 * The seal and signatures come along, so that the result can be verified anywhere.
 */
export async function pullFromVault(
  core: Core,
  request: ParsedRequest<"packagePull">,
  options: CallOptions,
): Promise<PullResult> {
  const to = resolve(request.to);
  await refuseInsideHome(core.home, to);
  await makeFolders(to).catch((error: unknown) => {
    throw writeFailure(error, to);
  });
  const place = await locatePackage(core, request.package);
  if (request.file !== undefined) {
    const pulled = await pullFile(place, request.file, to, options);
    logPulled(core, place, "file");
    return { ...pulled, package: place.packageId };
  }
  const scratch = scratchFolder(to, place.packageId);
  // Processes that pull the same package to the same place would work in one scratch folder.
  const { packageId, packageDigest } = place;
  const plan = { direction: "pull", vault: "", target: scratch, packageId, packageDigest } as const;
  const lease = leaseTransfer(core.ledger, plan, core.clock);
  try {
    const pulled = await pullWhole(core, place, request.as, to, options);
    logPulled(core, place, request.as);
    await dropScratch(scratch, readyName(request.as));
    lease.finish("received");
    return { ...pulled, package: packageId };
  } finally {
    lease.release();
  }
}

function logPulled(core: Core, place: PackagePlace, as: "bag" | "tar" | "file"): void {
  appendEvent(core.ledger, {
    time: rfc3339FromMs(core.clock.now()),
    type: "package-pulled",
    packageId: place.packageId,
    engagement: place.engagement,
    details: {
      packageDigest: place.packageDigest,
      as,
      device: core.device,
    },
  });
}

type Pulled = Omit<PullResult, "package">;

/**
 * Brings the whole package: fetched and verified in a scratch folder, then moved to its place. A process that was killed on the way is
 * followed by one that goes on where it stopped.
 */
async function pullWhole(
  core: Core,
  place: PackagePlace,
  as: "bag" | "tar",
  to: string,
  options: CallOptions,
): Promise<Pulled> {
  const { packageId, seal } = place;
  const name = bagName(place);
  const target = join(to, as === "bag" ? name : seal.archive);
  const scratch = scratchFolder(to, packageId);
  const ready = readyName(as);
  if (!(await exists(join(scratch, ready)))) {
    await refuseTaken([target, sealPath(place, to)], scratch);
    await mkdir(scratch, { recursive: true }).catch((error: unknown) => {
      throw writeFailure(error, to);
    });
    const { archive, partsVerified } = await fetchInto(core, place, scratch, options);
    try {
      const { packageDigest } = place;
      await requireSoundArchive(core, { archivePath: archive, seal, packageDigest, partsVerified }, options);
      const content = as === "bag" ? await unpack(archive, name, scratch, options) : archive;
      throwIfCancelled(options.signal);
      const signatures = join(scratch, `${name}.signatures`);
      const beside = (await exists(signatures)) ? [signatures] : [];
      await makeReady(scratch, ready, [content, ...beside, sealPath(place, scratch)]);
    } catch (error) {
      await removeFolder(scratch);
      throw error;
    }
  }
  await placeReady(scratch, ready, to);
  const files = as === "bag" ? (await readManifest(join(target, "manifest.json"))).header.fileCount : 1;
  return { path: target, bytes: seal.archiveSize, files };
}

/** Unpacks an archive into the scratch folder, durably; answers with the bag's path. */
async function unpack(
  archivePath: string,
  name: string,
  scratch: string,
  options: CallOptions,
): Promise<string> {
  const bag = join(await mkdtemp(join(scratch, "bag-")), name);
  await mkdir(bag);
  const script = new URL("../package/extract-thread.ts", import.meta.url);
  await runThread<number>(script, { archivePath, topFolder: name, target: bag }, options);
  throwIfCancelled(options.signal);
  await syncTree(bag);
  return bag;
}

/** What a failed download left for the next try stays; an empty folder does not. */
async function fetchInto(
  core: Core,
  place: PackagePlace,
  scratch: string,
  options: CallOptions,
): Promise<{ readonly archive: string; readonly partsVerified: boolean }> {
  if (await exists(sealPath(place, scratch))) {
    return { archive: join(scratch, place.seal.archive), partsVerified: false };
  }
  if (!isFetched(place)) {
    // A copy of what is on this device is not journalled: it begins anew.
    for (const entry of await readdir(scratch)) await removeFolder(join(scratch, entry));
  }
  try {
    return { archive: await fetchArchive(core, place, scratch, options), partsVerified: true };
  } catch (error) {
    if ((await readdir(scratch)).length === 0) await rmdir(scratch);
    throw error;
  }
}

/** Whether the archive comes from the vault, part by part, and not from this device. */
function isFetched(place: PackagePlace): boolean {
  return place.stored !== null && place.local?.holding !== "held";
}

/** Brings `<name>.tar`, `<name>.signatures/` and, last, `<name>.seal.json` into a folder; returns the archive's path. */
export async function fetchArchive(
  core: Core,
  place: PackagePlace,
  to: string,
  options: CallOptions,
): Promise<string> {
  const { local, stored } = place;
  if (stored !== null && local?.holding !== "held") {
    const pulled = await pullPackage({
      vault: stored.vault,
      vaultName: stored.vaultName,
      db: core.ledger,
      engagement: place.engagement,
      packageId: place.packageId,
      folder: to,
      clock: core.clock,
      signal: options.signal,
      onProgress: options.onProgress,
    });
    return pulled.archive;
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
    const folder = join(to, `${bagName(place)}.signatures`);
    if (signatures.length > 0) await mkdir(folder, { recursive: true });
    for (const { name, path } of signatures) await copyFile(path, join(folder, name));
    if (signatures.length > 0) await syncTree(folder);
    await createFileDurably(sealPath(place, to), local.sealBytes);
  }
  return target;
}

function bagName(place: PackagePlace): string {
  return packageName(place.seal);
}

function sealPath(place: PackagePlace, to: string): string {
  return join(to, `${bagName(place)}.seal.json`);
}

const CHUNK = 4 * 1024 * 1024;

async function pullFile(
  place: PackagePlace,
  path: string,
  to: string,
  options: CallOptions,
): Promise<Pulled> {
  const target = join(to, basename(path));
  await refuseTaken([target]);
  return inDraftFolder(to, "pull-file", async (scratch) => {
    const record = await findRecord(await manifestOf(place, scratch, options), path);
    const archive = await openPlacedArchive(place);
    const file = join(scratch, "content");
    try {
      await untilConfirmed(() => createFileDurably(file, verifiedContent(archive, record, options)));
      await publishFile(file, target);
    } catch (error) {
      throw writeFailure(error, target);
    } finally {
      await archive.close();
    }
    return { path: target, bytes: record.size, files: 1 };
  });
}

async function findRecord(source: string | RangeSource, path: string): Promise<FileRecord> {
  const manifest = await readManifest(source);
  let found: FileRecord | undefined;
  for await (const records of manifest.files()) found ??= records.find((record) => record.path === path);
  if (found !== undefined) return found;
  throw fail(
    "FILE_NOT_IN_PACKAGE",
    `The package lists no file ${path}.`,
    "List its files with: strongroom package files PACKAGE --search TEXT",
    { subject: path },
  );
}

/** The last bytes go out only after the digest was compared, so a consumer that needs all of them never has a wrong file. */
async function* verifiedContent(
  archive: RangeSource,
  record: FileRecord,
  options: CallOptions,
): AsyncGenerator<Uint8Array> {
  const digest = createHash("sha256");
  if (record.size === 0) requireDigest(record, digest.copy().digest("hex"));
  for (let done = 0; done < record.size; ) {
    const bytes = Buffer.allocUnsafe(Math.min(CHUNK, record.size - done));
    await archive.read(record.offset + done, bytes, options.signal);
    digest.update(bytes);
    done += bytes.length;
    options.onProgress?.({ phase: "receive", done, total: record.size, unit: "bytes" });
    if (done < record.size) yield bytes;
    else {
      requireDigest(record, digest.digest("hex"));
      yield bytes;
    }
  }
}

function requireDigest(record: FileRecord, actual: string): void {
  if (actual === record.sha256) return;
  throw fail(
    "DIGEST_MISMATCH",
    `${record.path} is not what was sealed: SHA-256 ${actual} instead of ${record.sha256}. Nothing was written.`,
    "Verify the package where it is stored.",
    { subject: record.path, details: { expected: record.sha256, actual } },
  );
}
