import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { asFailure, fail, throwIfCancelled } from "../failing.ts";
import { readFully } from "../full-io.ts";
import type { RangeSource } from "../ports.ts";

/** A regular file as a RangeSource; symlinks and special files are refused with PATH_NOT_EVIDENCE. `read` never reads short. */
export async function openFileSource(path: string): Promise<RangeSource> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    throw asFailure(error, path);
  }
  const stats = await handle.stat();
  if (!stats.isFile()) {
    await handle.close();
    throw fail("PATH_NOT_EVIDENCE", `${path} is not a regular file.`, "Name a regular file.", {
      subject: path,
    });
  }
  return {
    size: stats.size,
    async read(offset, target, signal) {
      throwIfCancelled(signal);
      try {
        await readOrFail(handle, target, offset, path);
      } catch (error) {
        throw asFailure(error, path);
      }
    },
    close: () => handle.close(),
  };
}

/** Fills `target`; a file that ends before is a SOURCE_CHANGED failure. */
export async function readOrFail(
  handle: FileHandle,
  target: Uint8Array,
  position: number,
  path: string,
): Promise<void> {
  if (await readFully(handle, position, target)) return;
  throw fail(
    "SOURCE_CHANGED",
    `${path} ends before byte ${position + target.length}; more was there before.`,
    "Restore the file as it was, then run the command again.",
    { subject: path },
  );
}
