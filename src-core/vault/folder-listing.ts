import { isUtf8 } from "node:buffer";
import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { systemCode } from "../failing.ts";
import { type FolderRoot, isKeySegment } from "./folder-root.ts";

interface Entry {
  /** Key of the entry; a folder's ends in `/`. */
  readonly key: string;
  readonly name: string;
}

/**
 * Keys of all regular files under the prefix whose name `wanted` accepts, in bytewise order of key, one folder in memory at a time and its parents.
 * Symbolic links and special files are neither followed nor listed; nor are names that are no valid Unicode, since no key is.
 */
export async function* listFiles(
  root: FolderRoot,
  prefix: string,
  wanted: (name: string) => boolean,
): AsyncGenerator<{ readonly folder: string; readonly name: string }> {
  await root.assertReachable();
  yield* walk(root, "", prefix, wanted);
}

async function* walk(
  root: FolderRoot,
  folder: string,
  prefix: string,
  wanted: (name: string) => boolean,
): AsyncGenerator<{ readonly folder: string; readonly name: string }> {
  for (const { key, name } of await entriesOf(root, folder, wanted)) {
    if (key.endsWith("/")) {
      if (key.startsWith(prefix) || prefix.startsWith(key)) yield* walk(root, key, prefix, wanted);
    } else {
      yield { folder, name };
    }
  }
}

async function entriesOf(
  root: FolderRoot,
  folder: string,
  wanted: (name: string) => boolean,
): Promise<readonly Entry[]> {
  const path = join(root.path, folder);
  const found = await root.guard(path, () => readFolder(path));
  await root.assertReachable();
  const entries: (Entry & { readonly bytes: Buffer })[] = [];
  for (const entry of found) {
    if (!isUtf8(entry.name)) continue;
    const name = entry.name.toString();
    if (entry.isDirectory() ? !isKeySegment(name) : !entry.isFile() || !wanted(name)) continue;
    const last = entry.isDirectory() ? `${name}/` : name;
    entries.push({ key: folder + last, name, bytes: Buffer.from(last) });
  }
  return entries.sort((a, b) => Buffer.compare(a.bytes, b.bytes));
}

/** A folder that another process removed meanwhile is empty. */
async function readFolder(path: string): Promise<readonly Dirent<Buffer>[]> {
  try {
    return await readdir(path, { encoding: "buffer", withFileTypes: true });
  } catch (error) {
    if (systemCode(error) === "ENOENT") return [];
    throw error;
  }
}
