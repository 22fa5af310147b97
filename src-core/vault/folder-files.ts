import type { BigIntStats } from "node:fs";
import { constants, type FileHandle, lstat, open, unlink } from "node:fs/promises";
import { fail, systemCode } from "../failing.ts";
import type { ObjectInfo } from "../ports.ts";

/** Windows has no O_NOFOLLOW; there the look at each path segment stands alone. */
const NO_FOLLOW = constants.O_NOFOLLOW ?? 0;
export const READ = constants.O_RDONLY | NO_FOLLOW;
export const WRITE = constants.O_WRONLY | NO_FOLLOW;

/** Size and version of a regular file, or null when nothing is there. Links, folders and devices are refused: no object is one. */
export async function infoOf(key: string, path: string): Promise<ObjectInfo | null> {
  try {
    return infoFrom(key, path, await lstat(path, { bigint: true }));
  } catch (error) {
    const code = systemCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    throw error;
  }
}

/** As `infoOf`, of an object that was just stored. */
export async function storedInfo(key: string, path: string): Promise<ObjectInfo> {
  const info = await infoOf(key, path);
  if (info === null)
    throw fail(
      "OBJECT_CHANGED",
      `${path} was removed right after it was stored.`,
      "Find out who changes the vault, then try again.",
      { subject: path },
    );
  return info;
}

/** As `infoOf`, of an open file. */
export async function infoOfOpen(key: string, path: string, handle: FileHandle): Promise<ObjectInfo> {
  return infoFrom(key, path, await handle.stat({ bigint: true }));
}

function infoFrom(key: string, path: string, found: BigIntStats): ObjectInfo {
  if (!found.isFile()) {
    throw fail(
      "PATH_NOT_EVIDENCE",
      `${path} in the vault is not a regular file.`,
      "Find out what it is; remove it, then try again.",
      { subject: path },
    );
  }
  return {
    key,
    size: Number(found.size),
    modified: Math.floor(Number(found.mtimeMs)),
    version: `${found.ino}-${found.size}-${found.mtimeNs}-${found.ctimeNs}`,
  };
}

/** Runs work on an open file and closes it whatever happens. */
export async function withFile<T>(
  path: string,
  flags: number | string,
  work: (handle: FileHandle) => Promise<T>,
): Promise<T> {
  const handle = await open(path, flags, 0o644);
  try {
    return await work(handle);
  } finally {
    await handle.close();
  }
}

export async function removeIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
  }
}
