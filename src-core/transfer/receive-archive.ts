import { constants, open, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { CancelSignal } from "../../src-contract/progress.ts";
import type { Seal } from "../../src-contract/seal.ts";
import { Landing } from "../digest/landing.ts";
import { exists, publishFile } from "../durable-files.ts";
import { asFailure, fail } from "../failing.ts";
import { writeFully } from "../full-io.ts";
import type { ObjectInfo, StoredPart, UploadRef, Vault } from "../ports.ts";
import { digestStored } from "../vault/pump-range.ts";
import { confirmedDigest } from "./confirmed-digest.ts";
import type { TransferLease, TransferState } from "./journal.ts";
import type { LaneCount } from "./lane-count.ts";
import { inLanes, type PartRange, partRanges } from "./part-lanes.ts";
import { assertIsArchive, beginPartialFile, dropPartialFile, onPath, partsOnDisk } from "./partial-file.ts";
import type { ByteMeter } from "./progress-meter.ts";
import { type RetryPolicy, retrying } from "./retry.ts";

export interface ReceiveContext {
  readonly vault: Vault;
  readonly lease: TransferLease;
  readonly lanes: LaneCount;
  readonly retry: RetryPolicy;
  readonly signal: CancelSignal | undefined;
  readonly meter: ByteMeter;
  readonly advance: (state: TransferState) => void;
  readonly examine?: ExamineLanding | undefined;
  /** Bytes that will be needed in the same folder once the archive is there. */
  readonly roomAfter?: number | undefined;
}

/**
 * Verifies what the seal alone does not tell of an archive, while it lands in the file at `path`. `whole` settles when every part is there and is the
 * sealed one, and fails when they never will be. Answers false when it could not be done on the way. Throws NOT_VALID.
 */
export type ExamineLanding = (path: string, landing: Landing, whole: Promise<void>) => Promise<boolean>;

const READ_WRITE = constants.O_RDWR | (constants.O_NOFOLLOW ?? 0);

/**
 * Fetches a stored archive into the file `target`, which gets its name when it is whole and synced, and only if the name is free.
 * Every part is held against the seal as it lands (DIGEST_MISMATCH); what does not stand up to `examine` is dropped. Answers whether it was
 * examined. What an earlier run fetched is read again and kept where it is right.
 * A file that is at `target` already and is the sealed archive is a success; any other is PATH_EXISTS. The folder must exist.
 */
export async function receiveArchive(
  context: ReceiveContext,
  object: ObjectInfo,
  seal: Seal,
  target: string,
): Promise<boolean> {
  const { lease, signal, meter, advance } = context;
  const ranges = partRanges(seal.archiveSize, seal.partSize);
  const known = lease.uploads().find(({ key }) => key === target);
  if (await exists(target)) {
    await assertIsArchive(target, ranges, seal, signal);
    if (known !== undefined) await dropPartialFile(known);
    return false;
  }
  const resumed =
    known === undefined ? [] : await partsOnDisk(known, lease.parts(target), ranges, seal, signal);
  if (known !== undefined && resumed === null) lease.dropUpload(target);
  const kept = new Set(resumed?.map(({ number }) => number));
  const missing = ranges.filter(({ number }) => !kept.has(number));
  await assertRoom(dirname(target), bytesIn(missing) + (context.roomAfter ?? 0));
  let partial = resumed === null ? undefined : known;
  if (partial === undefined) partial = await beginPartialFile(lease, target, seal);
  else lease.keepParts(target, resumed ?? []);
  meter.add(seal.archiveSize - bytesIn(missing));
  const landing = new Landing();
  for (const range of ranges) if (kept.has(range.number)) landing.add(range);
  const receive = () =>
    onPath(partial.uploadId, () => receiveParts(context, object, seal, partial, missing, landing));
  let isExamined: boolean;
  try {
    isExamined = await examined(context, partial.uploadId, landing, receive);
  } catch (error) {
    if (asFailure(error).failure.code === "NOT_VALID") {
      await dropPartialFile(partial);
      lease.dropUpload(target);
    }
    throw error;
  }
  advance("publishing");
  await onPath(target, () => publishFile(partial.uploadId, target));
  return isExamined;
}

/** Receives the parts and, beside that, examines them; ends when both have ended. Answers whether they were examined. */
async function examined(
  { examine, meter, advance }: ReceiveContext,
  path: string,
  landing: Landing,
  receive: () => Promise<void>,
): Promise<boolean> {
  const received = receive();
  const whole = received.then(
    () => landing.finish(),
    (error: unknown) => {
      landing.giveUp();
      throw error;
    },
  );
  const sound = examine?.(path, landing, whole);
  // What went wrong first is told: an examination that was given up has nothing to say.
  sound?.catch(() => undefined);
  try {
    await whole;
    meter.end();
    if (sound !== undefined) advance("checking");
  } finally {
    await Promise.allSettled([sound]);
  }
  return (await sound) ?? false;
}

function bytesIn(ranges: readonly PartRange[]): number {
  return ranges.reduce((sum, { size }) => sum + size, 0);
}

/** Checked before the first byte. The file is not made large in advance: that reserves nothing, and FAT would write it twice. */
async function assertRoom(folder: string, needed: number): Promise<void> {
  const system = await onPath(folder, () => statfs(folder));
  const free = system.bavail * system.bsize;
  if (needed <= free) return;
  throw fail(
    "DISK_FULL",
    `${needed} bytes are needed in ${folder}; ${free} are free.`,
    "Free some space, or choose another folder. Nothing was fetched.",
    {
      subject: folder,
      details: { needed, free },
    },
  );
}

async function receiveParts(
  { vault, lease, lanes, retry, signal, meter }: ReceiveContext,
  object: ObjectInfo,
  seal: Seal,
  partial: UploadRef,
  missing: readonly PartRange[],
  landing: Landing,
): Promise<void> {
  const handle = await open(partial.uploadId, READ_WRITE);
  // Writers of one file wait for each other in the kernel, spinning: a tenth of the work of a fast download.
  let lastWrite: Promise<unknown> = Promise.resolve();
  const oneByOne = (write: () => Promise<void>): Promise<void> => {
    const written = lastWrite.then(write);
    lastWrite = written.catch(() => undefined);
    return written;
  };
  const receiveOnce = async ({ number, offset, size }: PartRange, stop: CancelSignal): Promise<string> => {
    let landed = 0;
    try {
      const sha256 = await digestStored(
        vault,
        object,
        { offset, size },
        {
          signal: stop,
          also: async (at, bytes) => {
            await oneByOne(() => writeFully(handle, offset + at, bytes));
            landed += bytes.length;
            meter.add(bytes.length);
          },
        },
      );
      if (sha256 !== seal.parts[number - 1]) meter.add(-landed);
      return sha256;
    } catch (error) {
      meter.add(-landed);
      throw error;
    }
  };
  const receive = async (part: PartRange, stop: CancelSignal): Promise<StoredPart> => {
    const { number, size } = part;
    const expected = seal.parts[number - 1];
    const read = () => retrying(retry, stop, () => receiveOnce(part, stop));
    const actual = await confirmedDigest(read, expected, `Part ${number} of ${object.key}`);
    if (actual !== expected) {
      throw fail(
        "DIGEST_MISMATCH",
        `Part ${number} of ${object.key} in the vault differs from what was sealed. Nothing of it was kept.`,
        "Verify the package in the vault in full; fetch it from another copy.",
        { subject: object.key, details: { part: number, expected, actual } },
      );
    }
    writeOut();
    return { number, size, tag: actual };
  };
  // Begun early, so that little is left for the sync at the end. What a crash takes is found by its digest: a part that is in the journal and not on
  // disk is fetched again.
  let writingOut: Promise<void> | null = null;
  const faults: unknown[] = [];
  const writeOut = () => {
    writingOut ??= handle
      .datasync()
      .catch((error: unknown) => void faults.push(error))
      .finally(() => {
        writingOut = null;
      });
  };
  try {
    await inLanes(missing, lanes, signal, async (part, stop) => {
      if (faults.length > 0) throw faults[0];
      lease.addPart(partial.key, await receive(part, stop));
      landing.add(part);
    });
    await writingOut;
    if (faults.length > 0) throw faults[0];
    await handle.sync();
  } finally {
    await writingOut;
    await handle.close();
  }
}
