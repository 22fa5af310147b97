import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { fail, systemCode } from "../failing.ts";
import type { PlanEntry } from "./plan-file.ts";

/** Never follows a symlink, never waits for a pipe's other end. Windows knows neither flag. */
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/**
 * Fills `target` with an entry's content from `position` on. Proves, after reading, that the file is still the one that was walked:
 * same inode, size and change time. Throws SOURCE_CHANGED or PATH_UNREADABLE naming the file.
 */
export function readUnchanged(entry: PlanEntry, target: Uint8Array, position: number): void {
  let descriptor: number;
  try {
    descriptor = openSync(entry.source, OPEN_FLAGS);
  } catch (error) {
    const code = systemCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") throw changed(entry, "it is gone");
    if (code === "ELOOP") throw changed(entry, "it was replaced by a symbolic link");
    throw unreadable(entry, error);
  }
  try {
    let filled = 0;
    while (filled < target.length) {
      const count = readSync(descriptor, target, filled, target.length - filled, position + filled);
      if (count === 0) throw changed(entry, `it ends at byte ${position + filled}, not at ${entry.size}`);
      filled += count;
    }
    const stats = fstatSync(descriptor, { bigint: true });
    if (stats.size !== BigInt(entry.size))
      throw changed(entry, `its size went from ${entry.size} to ${stats.size} bytes`);
    if (stats.ino !== entry.inode) throw changed(entry, "it was replaced by another file");
    // The change time moves with every write and every setting of times; nobody can set it back.
    if (stats.ctimeNs !== entry.changedNs) throw changed(entry, "it was written to");
  } catch (error) {
    if (systemCode(error) !== undefined) throw unreadable(entry, error);
    throw error;
  } finally {
    closeSync(descriptor);
  }
}

/** An empty file is read too: it must still be there, and some systems report size 0 for files that have content (/proc, /sys). */
export function requireEmpty(entry: PlanEntry): void {
  readUnchanged(entry, NOTHING, 0);
  const descriptor = openSync(entry.source, OPEN_FLAGS);
  try {
    if (readSync(descriptor, Buffer.alloc(1), 0, 1, 0) > 0) {
      throw changed(entry, "the system says that it is empty, and it has content");
    }
  } catch (error) {
    if (systemCode(error) !== undefined) throw unreadable(entry, error);
    throw error;
  } finally {
    closeSync(descriptor);
  }
}

const NOTHING = new Uint8Array(0);

function changed(entry: PlanEntry, how: string): Error {
  const subject = entry.source.toString();
  return fail(
    "SOURCE_CHANGED",
    `${subject} changed while it was being sealed: ${how}.`,
    "Close the programs that write to it, or copy it elsewhere first; then run the command again. Nothing was sealed.",
    { subject, details: { path: entry.path } },
  );
}

function unreadable(entry: PlanEntry, cause: unknown): Error {
  const subject = entry.source.toString();
  return fail(
    "PATH_UNREADABLE",
    `${subject} cannot be read (${systemCode(cause) ?? String(cause)}).`,
    "Give yourself permission to read it or check the disk; then run the command again. Nothing was sealed.",
    { subject, details: { path: entry.path }, cause },
  );
}
