import { randomBytes } from "node:crypto";
import { lstat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { CancelSignal } from "../../src-contract/progress.ts";
import type { Seal } from "../../src-contract/seal.ts";
import { syncFolder } from "../durable-files.ts";
import { asFailure, fail, systemCode } from "../failing.ts";
import { readFully } from "../full-io.ts";
import type { StoredPart, UploadRef } from "../ports.ts";
import { READ, removeIfThere, withFile } from "../vault/folder-files.ts";
import { digestRange } from "../vault/pump-range.ts";
import type { TransferLease } from "./journal.ts";
import type { PartRange } from "./part-lanes.ts";

/** Names the path in what goes wrong with it. */
export async function onPath<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asFailure(error, path);
  }
}

/** The journal keeps a partial file like an upload: `uploadId` is its path. It is noted first, so that a crash leaves no file that nobody knows. */
export async function beginPartialFile(lease: TransferLease, target: string, seal: Seal): Promise<UploadRef> {
  const path = join(dirname(target), `.${basename(target)}.${randomBytes(8).toString("hex")}.partial`);
  const partial = { key: target, uploadId: path, size: seal.archiveSize, partSize: seal.partSize };
  lease.addUpload(partial);
  await onPath(path, async () => {
    await withFile(path, "wx", (handle) => handle.sync());
    await syncFolder(dirname(path));
  });
  return partial;
}

/** Removes what was fetched; a file that is gone already is a success. */
export async function dropPartialFile(upload: UploadRef): Promise<void> {
  await onPath(upload.uploadId, () => removeIfThere(upload.uploadId));
}

/** Parts of the journal whose bytes are really in the partial file; null when there is no such file, or it is of another plan. */
export async function partsOnDisk(
  upload: UploadRef,
  parts: readonly StoredPart[],
  ranges: readonly PartRange[],
  seal: Seal,
  signal: CancelSignal | undefined,
): Promise<readonly StoredPart[] | null> {
  if (upload.size !== seal.archiveSize || upload.partSize !== seal.partSize) {
    await dropPartialFile(upload);
    return null;
  }
  try {
    if (!(await lstat(upload.uploadId)).isFile()) return null;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return null;
    throw asFailure(error, upload.uploadId);
  }
  const right = new Set(
    await rightParts(
      upload.uploadId,
      ranges,
      seal,
      parts.map(({ number }) => number),
      signal,
    ),
  );
  return parts.filter(({ number }) => right.has(number));
}

/** Those of the numbered parts whose bytes in the file are the sealed ones. */
async function rightParts(
  path: string,
  ranges: readonly PartRange[],
  seal: Seal,
  numbers: readonly number[],
  signal: CancelSignal | undefined,
): Promise<readonly number[]> {
  return onPath(path, () =>
    withFile(path, READ, async (handle) => {
      const { size: length } = await handle.stat();
      const right: number[] = [];
      for (const number of numbers) {
        const range = ranges[number - 1];
        if (range === undefined || range.offset + range.size > length) continue;
        const sha256 = await digestRange(
          range.size,
          async (at, bytes) => {
            if (!(await readFully(handle, range.offset + at, bytes))) bytes.fill(0);
          },
          { signal },
        );
        if (sha256 === seal.parts[number - 1]) right.push(number);
      }
      return right;
    }),
  );
}

export async function assertIsArchive(
  target: string,
  ranges: readonly PartRange[],
  seal: Seal,
  signal: CancelSignal | undefined,
): Promise<void> {
  const found = await onPath(target, () => lstat(target));
  const right =
    found.isFile() && found.size === seal.archiveSize
      ? await rightParts(
          target,
          ranges,
          seal,
          ranges.map(({ number }) => number),
          signal,
        )
      : [];
  if (right.length === ranges.length) return;
  throw fail(
    "PATH_EXISTS",
    `${target} is already there and is not the sealed archive.`,
    "Choose another folder, or move it away first.",
    { subject: target },
  );
}
