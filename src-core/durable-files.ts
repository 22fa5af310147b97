import { randomBytes } from "node:crypto";
import { link, lstat, mkdir, open, readdir, rename, stat, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { systemCode } from "./failing.ts";

/** How the file system answers where it has no hard links (FAT, exFAT, many shares). */
const NO_LINKS = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EXDEV", "EACCES"]);
/** How some file systems and Windows answer where a folder cannot be opened or synced. */
const NO_FOLDER_SYNC = new Set(["EINVAL", "EPERM", "EISDIR", "EACCES", "ENOTSUP", "EBADF"]);

/** Makes renames and creations inside a folder survive power loss, where the system can (Windows cannot sync a folder). */
export async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (!NO_FOLDER_SYNC.has(systemCode(error) ?? "")) throw error;
  }
}

/** Makes finished files survive power loss, side by side: the disk is waited for once, not once for each. */
export async function syncFiles(paths: readonly string[]): Promise<void> {
  await Promise.all(
    paths.map(async (path) => {
      const handle = await open(path, "r+");
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    }),
  );
}

/** So many files at once keep the disk busy, far below the limit of open files. */
const SYNCED_AT_ONCE = 64;

/** Makes a finished folder with all that is in it survive power loss: every file, then every folder, the inner ones first. */
export async function syncTree(folder: string): Promise<void> {
  const files: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else if (entry.isFile()) files.push(path);
  }
  for (let first = 0; first < files.length; first += SYNCED_AT_ONCE) {
    await syncFiles(files.slice(first, first + SYNCED_AT_ONCE));
  }
  await syncFolder(folder);
}

/** A name beside `target` that no other process uses; it begins with a dot, and readers of a vault or package folder skip such names. */
export function temporaryBeside(target: string): string {
  // 40 characters are at most 120 bytes: with the rest that stays below the 255 bytes that a name may have.
  return join(dirname(target), `.${basename(target).slice(0, 40)}.${randomBytes(8).toString("hex")}.tmp`);
}

/**
 * Gives a finished, synced temporary file its final name, only if that name is free: throws EEXIST otherwise and leaves both files.
 * With hard links two racing processes have one winner. Without them (FAT, some shares) the test and the rename are two steps.
 */
export async function publishFile(temporary: string, target: string): Promise<void> {
  try {
    await link(temporary, target);
    await unlink(temporary);
  } catch (error) {
    if (!NO_LINKS.has(systemCode(error) ?? "")) throw error;
    if (await exists(target)) {
      throw Object.assign(new Error(`EEXIST: ${target}`), { code: "EEXIST", path: target });
    }
    await rename(temporary, target);
  }
  await syncFolder(dirname(target));
}

/**
 * Creates a file that a reader sees whole or not at all, and that survives power loss once this returns.
 * Throws EEXIST when the name is taken. On any failure nothing is left behind.
 */
export async function createFileDurably(
  target: string,
  content: string | Uint8Array | AsyncIterable<string | Uint8Array>,
): Promise<void> {
  const temporary = temporaryBeside(target);
  try {
    const handle = await open(temporary, "wx", 0o644);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await publishFile(temporary, target);
  } catch (error) {
    await unlink(temporary).catch((problem: unknown) => {
      if (systemCode(problem) !== "ENOENT") throw problem;
    });
    throw error;
  }
}

/**
 * Makes a folder with all that is missing above it. Instead of mkdir's own `recursive`, which never returns where the system answers
 * "does not exist" for a folder that can never be made (below /proc, seen with Node 24.21).
 */
export async function makeFolders(folder: string): Promise<void> {
  try {
    await mkdir(folder);
  } catch (error) {
    const code = systemCode(error);
    if (code === "EEXIST" && (await stat(folder)).isDirectory()) return;
    if (code !== "ENOENT") throw error;
    const parent = dirname(folder);
    if (parent !== folder && !(await exists(parent))) await makeFolders(parent);
    // Once more: another process may have made the parent in the meantime.
    await mkdir(folder).catch(async (again: unknown) => {
      if (systemCode(again) !== "EEXIST" || !(await stat(folder)).isDirectory()) throw again;
    });
  }
}

/** Whether anything is at `path`; a dangling symlink counts. */
export async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (systemCode(error) === "ENOENT" || systemCode(error) === "ENOTDIR") return false;
    throw error;
  }
}
