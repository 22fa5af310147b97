import { readSync, writeSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";

// One call to the system may move fewer bytes than it was asked for, without an error: a nearly full disk does, and some shares.
// These go on until all is done.

/** Fills `target` from the file's position on; false when the file ends before. */
export async function readFully(handle: FileHandle, position: number, target: Uint8Array): Promise<boolean> {
  for (let filled = 0; filled < target.length; ) {
    const { bytesRead } = await handle.read(target, filled, target.length - filled, position + filled);
    if (bytesRead === 0) return false;
    filled += bytesRead;
  }
  return true;
}

/** Fills `target` from the file's position on; returns how many bytes that were, fewer only when the file ends before. */
export function readFullySync(descriptor: number, position: number, target: Uint8Array): number {
  for (let filled = 0; filled < target.length; ) {
    const count = readSync(descriptor, target, filled, target.length - filled, position + filled);
    if (count === 0) return filled;
    filled += count;
  }
  return target.length;
}

export async function writeFully(handle: FileHandle, position: number, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    written += (await handle.write(bytes, written, bytes.length - written, position + written)).bytesWritten;
  }
}

/** Writes at `position`, or where the last write ended. */
export function writeFullySync(descriptor: number, bytes: Uint8Array, position?: number): void {
  for (let written = 0; written < bytes.length; ) {
    const at = position === undefined ? null : position + written;
    written += writeSync(descriptor, bytes, written, bytes.length - written, at);
  }
}
