import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import type { CancelSignal } from "../../src-contract/progress.ts";
import { exists } from "../durable-files.ts";
import { asFailure, FailureError, fail, systemCode, throwIfCancelled } from "../failing.ts";
import { headerTime, type PlacedEntry, PlanReader } from "../package/plan-file.ts";
import type { RangeSource } from "../ports.ts";
import { readOrFail } from "./file-source.ts";
import { header, TRAILER_SIZE } from "./tar-layout.ts";

/** Small files are opened side by side, as far as the thread pool of libuv serves. */
const OPEN_AT_ONCE = 32;
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/**
 * The archive of a reference package, produced on demand in any range from its plan and its source files: headers are computed,
 * contents are read in place. Memory is the asked range's. A source that is gone or has another size is SOURCE_CHANGED naming it, PATH_NOT_FOUND where
 * its folder is gone, too; a disk or share that cannot read it is what the system says (IO_ERROR, PATH_UNREADABLE). Other changes show in the part
 * digests, which the receiver of the bytes checks.
 */
export class VirtualTar implements RangeSource {
  readonly size: number;
  readonly #plan: PlanReader;
  readonly #topFolder: string;

  /** `folder` holds plan.records, plan.index and the tag files; `archiveSize` comes from the seal. */
  constructor(folder: string, topFolder: string, archiveSize: number) {
    this.#plan = new PlanReader(folder, topFolder);
    this.#topFolder = topFolder;
    this.size = archiveSize;
  }

  async read(offset: number, target: Uint8Array, signal?: CancelSignal): Promise<void> {
    const end = offset + target.length;
    if (offset < 0 || end > this.size) throw new RangeError(`range ${offset}-${end} is outside the archive`);
    const reads: Promise<void>[] = [];
    let reached: number;
    try {
      reached = await this.#fill(offset, target, reads, signal);
      await Promise.all(reads);
    } catch (error) {
      // Whoever hears of the failure may use `target` for something else: nothing writes to it any more by then.
      await Promise.allSettled(reads);
      throw error;
    }
    if (reached < end) {
      if (this.size - reached > TRAILER_SIZE) throw new RangeError("the plan ends before the archive does");
      target.fill(0, reached - offset);
    }
  }

  /** Begins all reads of a range, and waits for some of them; returns where the last entry of the range ends. */
  async #fill(
    offset: number,
    target: Uint8Array,
    reads: Promise<void>[],
    signal: CancelSignal | undefined,
  ): Promise<number> {
    const end = offset + target.length;
    let reached = offset;
    for (const entry of this.#plan.within(offset, end)) {
      throwIfCancelled(signal);
      this.#placeHeader(entry, offset, target);
      const from = Math.max(entry.contentOffset, offset);
      const contentEnd = entry.contentOffset + entry.size;
      const to = Math.min(contentEnd, end);
      if (from < to)
        reads.push(
          readSource(entry, target.subarray(from - offset, to - offset), from - entry.contentOffset),
        );
      if (contentEnd < end)
        target.fill(0, Math.max(contentEnd, offset) - offset, Math.min(entry.end, end) - offset);
      reached = Math.min(entry.end, end);
      if (reads.length >= OPEN_AT_ONCE) {
        await Promise.all(reads);
        reads.length = 0;
      }
    }
    return reached;
  }

  #placeHeader(entry: PlacedEntry, offset: number, target: Uint8Array): void {
    if (entry.contentOffset <= offset) return;
    const bytes = header(`${this.#topFolder}/${entry.path}`, entry.size, headerTime(entry));
    const skip = Math.max(offset - entry.headerOffset, 0);
    const at = Math.max(entry.headerOffset - offset, 0);
    target.set(bytes.subarray(skip, skip + Math.min(bytes.length - skip, target.length - at)), at);
  }

  async close(): Promise<void> {
    this.#plan.close();
  }

  /** Entries that have a byte in [start, end) of the archive, in order. */
  entriesWithin(start: number, end: number): Iterable<PlacedEntry> {
    return this.#plan.within(start, end);
  }
}

async function readSource(entry: PlacedEntry, target: Uint8Array, position: number): Promise<void> {
  let handle: FileHandle;
  try {
    handle = await open(entry.source, OPEN_FLAGS);
  } catch (error) {
    throw await notOpened(entry, error);
  }
  try {
    const { size } = await handle.stat();
    if (size !== entry.size) throw resized(entry, size);
    await readOrFail(handle, target, position, entry.source.toString());
  } catch (error) {
    throw error instanceof FailureError ? error : systemFailure(error, entry.source.toString());
  } finally {
    await handle.close();
  }
}

function resized(entry: PlacedEntry, size: number): Error {
  const subject = entry.source.toString();
  return fail(
    "SOURCE_CHANGED",
    `${subject} was sealed by reference with ${entry.size} bytes and has ${size} now.`,
    "Bring the file back as it was, then run the command again; or seal anew.",
    { subject, details: { path: entry.path, sealed: entry.size, now: size } },
  );
}

/** What the system says of a name where no file is any more, or another kind of thing. */
const NOT_THE_FILE: ReadonlySet<string | undefined> = new Set(["ENOENT", "ENOTDIR", "ELOOP"]);

/**
 * Why a source cannot be opened. Only a file that is not there is taken for changed evidence: a folder that is gone with it is most likely on a disk
 * that is away, and a disk or share that reports a fault says nothing of the file.
 */
async function notOpened(entry: PlacedEntry, cause: unknown): Promise<Error> {
  const subject = entry.source.toString();
  const code = systemCode(cause);
  const details = { path: entry.path };
  if (!NOT_THE_FILE.has(code)) return systemFailure(cause, subject, details);
  const folder = dirname(subject);
  if (code === "ENOENT" && !(await isThere(folder))) {
    return fail(
      "PATH_NOT_FOUND",
      `${subject} was sealed by reference, and ${folder} is not there.`,
      "Connect the disk or share that holds it, then run the command again; or bring the folder back.",
      { subject, details, cause },
    );
  }
  return fail(
    "SOURCE_CHANGED",
    `${subject} was sealed by reference and cannot be read any more (${code}).`,
    "Bring the file back as it was, then run the command again; or seal anew with a copy.",
    { subject, details, cause },
  );
}

async function isThere(folder: string): Promise<boolean> {
  try {
    return await exists(folder);
  } catch (error) {
    throw systemFailure(error, folder);
  }
}

/** A code of the operating system (`EHOSTDOWN`), not one of Node.js (`ERR_OUT_OF_RANGE`). */
const ERRNO = /^E[A-Z0-9]+$/;

/** What the system reports of a file; a fault that it has no name for here may be over later, as every other of a disk or share. */
function systemFailure(cause: unknown, subject: string, details?: Record<string, unknown>): FailureError {
  const { code, message, nextStep } = asFailure(cause, subject).failure;
  const more = { subject, cause, ...(details === undefined ? {} : { details }) };
  const system = systemCode(cause);
  if (code !== "INTERNAL" || system === undefined || !ERRNO.test(system))
    return fail(code, message, nextStep, more);
  return fail(
    "IO_ERROR",
    `${subject} cannot be read now (${system}).`,
    "Check the disk or share, then run the command again.",
    more,
  );
}
