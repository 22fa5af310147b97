import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { fail, systemCode } from "../failing.ts";
import { readFullySync } from "../full-io.ts";
import type { PlanEntry } from "./plan-file.ts";

/** Never follows a symlink, never waits for a pipe's other end. Windows knows neither flag. */
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/**
 * Fills `target` with an entry's content from `position` on. Proves, after reading, that the file is still the one that was walked:
 * same inode, size and change time. Throws SOURCE_CHANGED or PATH_UNREADABLE naming the file.
 */
export function readUnchanged(entry: PlanEntry, target: Uint8Array, position: number): void {
  withSource(entry, (descriptor) => {
    const filled = readFullySync(descriptor, position, target);
    if (filled < target.length)
      throw changed(entry, `it ends at byte ${position + filled}, not at ${entry.size}`);
    const stats = fstatSync(descriptor, { bigint: true });
    if (stats.size !== BigInt(entry.size))
      throw changed(entry, `its size went from ${entry.size} to ${stats.size} bytes`);
    if (stats.ino !== entry.inode) throw changed(entry, "it was replaced by another file");
    // The change time moves with every write and every setting of times; nobody can set it back.
    if (stats.ctimeNs !== entry.changedNs) throw changed(entry, "it was written to");
  });
}

/** An empty file is read too: it must still be there, and some systems report size 0 for files that have content (/proc, /sys). */
export function requireEmpty(entry: PlanEntry): void {
  readUnchanged(entry, NOTHING, 0);
  withSource(entry, (descriptor) => {
    if (readSync(descriptor, Buffer.alloc(1), 0, 1, 0) > 0) {
      throw changed(entry, "the system says that it is empty, and it has content");
    }
  });
}

/** What the system answers where something that is no regular file took the place of one. */
const REPLACED: Readonly<Record<string, string>> = {
  ENOENT: "it is gone",
  ENOTDIR: "it is gone",
  ELOOP: "it was replaced by a symbolic link",
  EISDIR: "it was replaced by a folder",
  ENXIO: "it was replaced by a pipe, socket or device",
  ESPIPE: "it was replaced by a pipe, socket or device",
  EAGAIN: "it was replaced by a pipe, socket or device",
};

function withSource(entry: PlanEntry, read: (descriptor: number) => void): void {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(entry.source, OPEN_FLAGS);
    read(descriptor);
  } catch (error) {
    const code = systemCode(error);
    if (code === undefined) throw error;
    const how = REPLACED[code];
    throw how === undefined ? unreadable(entry, error) : changed(entry, how);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
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
