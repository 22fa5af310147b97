import { createHash } from "node:crypto";
import { copyFile, mkdir, mkdtemp, readdir, rename, rmdir } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { FileRecord } from "../../src-contract/manifest.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { ParsedRequest, PullResult } from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import { appendEvent } from "../custody/custody-log.ts";
import { createFileDurably, exists, makeFolders, syncFolder } from "../durable-files.ts";
import { asFailure, fail, throwIfCancelled } from "../failing.ts";
import { readManifest } from "../package/manifest-reader.ts";
import { removeFolder, signatureFiles } from "../package/package-store.ts";
import { runThread } from "../package/run-thread.ts";
import { rfc3339FromMs } from "../package/times.ts";
import type { RangeSource } from "../ports.ts";
import { locatePackage, manifestOf, openPlacedArchive, type PackagePlace } from "./package-source.ts";
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
  await makeFolders(to).catch((error: unknown) => {
    throw asFailure(error, to);
  });
  const place = await locatePackage(core, request.package);
  const result =
    request.file !== undefined
      ? await pullFile(place, request.file, to, options)
      : request.as === "tar"
        ? await pullTar(core, place, to, options)
        : await pullBag(core, place, to, options);
  appendEvent(core.ledger, {
    time: rfc3339FromMs(core.clock.now()),
    type: "package-pulled",
    packageId: place.packageId,
    engagement: place.engagement,
    details: {
      packageDigest: place.packageDigest,
      as: request.file === undefined ? request.as : "file",
      device: core.device,
    },
  });
  return { ...result, package: place.packageId };
}

type Pulled = Omit<PullResult, "package">;

async function pullTar(core: Core, place: PackagePlace, to: string, options: CallOptions): Promise<Pulled> {
  const target = join(to, place.seal.archive);
  await refuseTaken([target, sealPath(place, to)]);
  const archive = await fetchArchive(core, place, to, options);
  await requireSoundArchive(
    core,
    { archivePath: archive, seal: place.seal, packageDigest: place.packageDigest },
    options,
  );
  return { path: target, bytes: place.seal.archiveSize, files: 1 };
}

async function pullBag(core: Core, place: PackagePlace, to: string, options: CallOptions): Promise<Pulled> {
  const name = place.seal.archive.slice(0, -".tar".length);
  const target = join(to, name);
  await refuseTaken([target, sealPath(place, to)]);
  // One name for all tries: a download that was interrupted goes on where it stopped.
  const scratch = join(to, `.strongroom-pull-${place.packageId}`);
  await mkdir(scratch, { recursive: true });
  const archive = await fetchInto(core, place, scratch, options);
  try {
    const unpacked = await mkdtemp(join(scratch, "bag-"));
    await requireSoundArchive(
      core,
      { archivePath: archive, seal: place.seal, packageDigest: place.packageDigest },
      options,
    );
    const files = await runThread<number>(
      new URL("../package/extract-thread.ts", import.meta.url),
      { archivePath: archive, topFolder: name, target: unpacked },
      options,
    );
    throwIfCancelled(options.signal);
    await rename(unpacked, target);
    for (const entry of await readdir(scratch)) {
      if (entry.endsWith(".seal.json") || entry.endsWith(".signatures"))
        await rename(join(scratch, entry), join(to, entry));
    }
    await syncFolder(to);
    return { path: target, bytes: place.seal.archiveSize, files };
  } finally {
    await removeFolder(scratch);
  }
}

/** What a failed download left for the next try stays; an empty folder does not. */
async function fetchInto(
  core: Core,
  place: PackagePlace,
  scratch: string,
  options: CallOptions,
): Promise<string> {
  if (await exists(sealPath(place, scratch))) return join(scratch, place.seal.archive);
  try {
    return await fetchArchive(core, place, scratch, options);
  } catch (error) {
    if ((await readdir(scratch)).length === 0) await rmdir(scratch);
    throw error;
  }
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
    const folder = join(to, place.seal.archive.replace(/\.tar$/, ".signatures"));
    if (signatures.length > 0) await mkdir(folder, { recursive: true });
    for (const { name, path } of signatures) await copyFile(path, join(folder, name));
    await createFileDurably(sealPath(place, to), local.sealBytes);
  }
  return target;
}

function sealPath(place: PackagePlace, to: string): string {
  return join(to, place.seal.archive.replace(/\.tar$/, ".seal.json"));
}

async function refuseTaken(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    if (!(await exists(path))) continue;
    throw fail(
      "PATH_EXISTS",
      `${path} is already there; nothing is overwritten.`,
      "Choose another folder, or move it away first.",
      { subject: path },
    );
  }
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
  const scratch = await mkdtemp(join(to, ".strongroom-pull-"));
  try {
    const record = await findRecord(await manifestOf(place, scratch, options), path);
    const archive = await openPlacedArchive(place);
    try {
      await createFileDurably(target, verifiedContent(archive, record, options));
    } catch (error) {
      throw asFailure(error, target);
    } finally {
      await archive.close();
    }
    return { path: target, bytes: record.size, files: 1 };
  } finally {
    await removeFolder(scratch);
  }
}

async function findRecord(manifestFile: string, path: string): Promise<FileRecord> {
  const manifest = await readManifest(manifestFile);
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
