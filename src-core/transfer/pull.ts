import { mkdir, mkdtemp, readdir, readFile, rmdir } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { ParsedRequest, PullResult } from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import { appendEvent } from "../custody/custody-log.ts";
import { exists, makeFolders, syncTree } from "../durable-files.ts";
import { asFailure, fail, systemCode, throwIfCancelled, writeFailure } from "../failing.ts";
import { refuseInsideHome } from "../home.ts";
import { readManifest } from "../package/manifest-reader.ts";
import { besidePackage, packageName } from "../package/package-name.ts";
import { removeFolder } from "../package/package-store.ts";
import { runThread } from "../package/run-thread.ts";
import { rfc3339FromMs } from "../package/times.ts";
import type { Bandwidth } from "./bandwidth.ts";
import { withBandwidth } from "./bandwidth-limit.ts";
import { pacedVault } from "./bandwidth-vault.ts";
import { type FetchedArchive, type FetchOptions, fetchArchive } from "./fetch-archive.ts";
import type { TransferLease } from "./journal.ts";
import { locatePackage, type PackagePlace } from "./package-source.ts";
import {
  dropScratch,
  makeReady,
  placeReady,
  putBack,
  readyName,
  refuseTaken,
  scratchFolder,
} from "./place-pulled.ts";
import { pullFile } from "./pull-file.ts";
import { leaseTransfer } from "./queue-lease.ts";
import { entryOf, type QueueRow } from "./queue-rows.ts";
import { type RunOptions, underLease } from "./queue-run.ts";
import { requireSoundArchive } from "./sound-archive.ts";

/**
 * Brings a package, or one file of it, into a folder. What arrives was verified against the seal on its way; of a package that was sealed elsewhere
 * the files of a bag also against its manifests, an archive is for `verify` to look into. Nothing is overwritten.
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
  return withBandwidth(core.ledger, request.limit, async (bandwidth) => {
    const place = paced(await locatePackage(core, request.package), bandwidth);
    if (request.file !== undefined) {
      const pulled = await pullFile(place, request.file, to, options);
      logPulled(core, place, "file");
      return { ...pulled, package: place.packageId };
    }
    const { packageId, packageDigest, seal } = place;
    const target = scratchFolder(to, packageId);
    const entry = { ...entryOf(seal), folder: to, form: request.as };
    const plan = { direction: "pull", vault: "", target, packageId, packageDigest, entry } as const;
    const lease = leaseTransfer(core.ledger, plan, core.clock);
    return underLease(lease, core.clock, seal.archiveSize, { ...options, bandwidth }, (run) =>
      pullTo(core, lease, place, { to, as: request.as }, run),
    );
  });
}

/** Runs a pull that waits in the queue, whose lease is held. A folder that is gone is not made again: a disk may be away. */
export async function pullQueued(
  core: Core,
  lease: TransferLease,
  { package_id: id, folder, form }: QueueRow,
  run: RunOptions,
): Promise<PullResult> {
  if (folder === null || form === null) throw new Error(`transfer ${lease.id} is no pull of the queue`);
  if (!(await exists(folder))) {
    throw fail(
      "PATH_NOT_FOUND",
      `${folder}, where package ${id} is to be written to, is not there.`,
      `Connect the disk or make the folder; then: strongroom transfers resume ${lease.id.slice(0, 8)}`,
      { subject: folder },
    );
  }
  const place = paced(await locatePackage(core, id), run.bandwidth);
  return pullTo(core, lease, place, { to: folder, as: form }, run);
}

function paced(place: PackagePlace, bandwidth: Bandwidth): PackagePlace {
  const { stored } = place;
  return stored === null
    ? place
    : { ...place, stored: { ...stored, vault: pacedVault(stored.vault, bandwidth) } };
}

interface Destination {
  readonly to: string;
  readonly as: "bag" | "tar";
}

async function pullTo(
  core: Core,
  lease: TransferLease,
  place: PackagePlace,
  destination: Destination,
  run: RunOptions,
): Promise<PullResult> {
  const { to, as } = destination;
  const scratch = scratchFolder(to, place.packageId);
  const target = join(to, as === "bag" ? bagName(place) : place.seal.archive);
  // A process that died between the last two steps had all in its place and on record.
  const placed =
    lease.found.state === "publishing" &&
    !(await exists(scratch)) &&
    (await exists(target)) &&
    (await isPlaced(place, to));
  if (!placed) {
    await pullWhole(core, lease, place, destination, run);
    logPulled(core, place, as);
    await dropScratch(scratch, readyName(as));
  }
  const files = as === "bag" ? (await readManifest(join(target, "manifest.json"))).header.fileCount : 1;
  lease.finish("received");
  return { package: place.packageId, path: target, bytes: place.seal.archiveSize, files };
}

/** Its seal, which gets its place last, is there: what lies beside it is this package's. */
async function isPlaced(place: PackagePlace, to: string): Promise<boolean> {
  const found = await readFile(besidePackage(place.seal, to).sealFile).catch((error: unknown) => {
    if (systemCode(error) === "ENOENT") return null;
    throw asFailure(error, to);
  });
  return found !== null && Buffer.compare(found, place.sealBytes) === 0;
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

/**
 * Brings the whole package: fetched and verified in a scratch folder, then moved to its place. A process that was killed on the way is
 * followed by one that goes on where it stopped.
 */
async function pullWhole(
  core: Core,
  lease: TransferLease,
  place: PackagePlace,
  { to, as }: Destination,
  options: RunOptions,
): Promise<void> {
  const { packageId, seal } = place;
  const name = bagName(place);
  const target = join(to, as === "bag" ? name : seal.archive);
  const scratch = scratchFolder(to, packageId);
  const ready = readyName(as);
  if (!(await exists(join(scratch, ready)))) {
    await refuseTaken([target, besidePackage(seal, to).sealFile], scratch);
    await mkdir(scratch, { recursive: true }).catch((error: unknown) => {
      throw writeFailure(error, to);
    });
    lease.advance("receiving");
    const onChecking = () => lease.advance("checking");
    const files = as === "bag";
    const roomAfter = as === "bag" ? seal.archiveSize : 0;
    const fetched = await fetchInto(core, place, scratch, { ...options, files, onChecking, roomAfter });
    const { archivePath } = fetched;
    try {
      const { packageDigest } = place;
      if (!fetched.sound) {
        onChecking();
        await requireSoundArchive(core, { ...fetched, seal, packageDigest, files }, options);
      }
      const content = as === "bag" ? await unpack(archivePath, name, scratch, options) : archivePath;
      throwIfCancelled(options.signal);
      const { sealFile, signatures } = besidePackage(seal, scratch);
      const beside = (await exists(signatures)) ? [signatures] : [];
      await makeReady(scratch, ready, [content, ...beside, sealFile]);
    } catch (error) {
      // What was fetched and is sound is not fetched again.
      const { code } = asFailure(error).failure;
      if (code === "NOT_VALID" || code === "DIGEST_MISMATCH") await removeFolder(scratch);
      throw error;
    }
  }
  lease.advance("publishing");
  await placeReady(scratch, ready, to);
}

/** How folders begin in which a bag is unpacked. */
const BAG = "bag-";

/** Unpacks an archive into the scratch folder, durably, instead of what a stopped run left; answers with the bag's path. */
async function unpack(
  archivePath: string,
  name: string,
  scratch: string,
  options: CallOptions,
): Promise<string> {
  for (const left of await readdir(scratch)) {
    if (left.startsWith(BAG)) await removeFolder(join(scratch, left));
  }
  const folder = await mkdtemp(join(scratch, BAG));
  const bag = join(folder, name);
  try {
    await mkdir(bag);
    const script = new URL("../package/extract-thread.ts", import.meta.url);
    await runThread<number>(script, { archivePath, topFolder: name, target: bag }, options);
    throwIfCancelled(options.signal);
    await syncTree(bag);
    return bag;
  } catch (error) {
    await removeFolder(folder);
    throw error;
  }
}

/** What a failed download left for the next try stays; an empty folder does not. */
async function fetchInto(
  core: Core,
  place: PackagePlace,
  scratch: string,
  options: FetchOptions,
): Promise<FetchedArchive & { readonly partsVerified: boolean }> {
  const { sealFile, signatures } = besidePackage(place.seal, scratch);
  await putBack(scratch, [place.seal.archive, basename(signatures), basename(sealFile)]);
  if (await exists(sealFile)) {
    return { archivePath: join(scratch, place.seal.archive), partsVerified: false, sound: false };
  }
  if (!isFetched(place)) {
    // A copy of what is on this device is not journalled: it begins anew.
    for (const entry of await readdir(scratch)) await removeFolder(join(scratch, entry));
  }
  try {
    return { ...(await fetchArchive(core, place, scratch, options)), partsVerified: true };
  } catch (error) {
    if ((await readdir(scratch)).length === 0) await rmdir(scratch);
    throw error;
  }
}

/** Whether the archive comes from the vault, part by part, and not from this device. */
function isFetched(place: PackagePlace): boolean {
  return place.stored !== null && place.local?.holding !== "held";
}

function bagName(place: PackagePlace): string {
  return packageName(place.seal);
}
