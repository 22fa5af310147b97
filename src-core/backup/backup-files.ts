import { constants } from "node:fs";
import { access, copyFile, mkdir, open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { packageIdSchema, sha256HexSchema } from "../../src-contract/names.ts";
import { digestFile } from "../digest/digest-file.ts";
import { syncFolder } from "../durable-files.ts";
import { asFailure, fail } from "../failing.ts";

/** backup.json: what a backup holds, and the SHA-256 of each of its files. Written last. */
export const backupSchema = z.strictObject({
  format: z.literal("strongroom-backup/1"),
  made: z.string(),
  device: z.string(),
  packages: z.array(packageIdSchema),
  notHeld: z.array(packageIdSchema),
  files: z.record(z.string(), sha256HexSchema),
});
export type Backup = z.infer<typeof backupSchema>;

/** SHA-256 of every regular file below a folder, by path with `/`. Fails on anything else that lies there. */
export async function digestFolder(folder: string, below = ""): Promise<Record<string, string>> {
  const digests: Record<string, string> = {};
  for (const entry of await readdir(join(folder, below), { withFileTypes: true })) {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) Object.assign(digests, await digestFolder(folder, path));
    else if (entry.isFile()) digests[path] = await digestFile(join(folder, path));
    else {
      throw fail(
        "BACKUP_INVALID",
        `${join(folder, path)} is neither a file nor a folder.`,
        "Use another backup.",
        {
          subject: folder,
        },
      );
    }
  }
  return digests;
}

/** Copies a folder of ours, durably; links are not followed and nothing is overwritten. */
export async function copyFolder(from: string, to: string): Promise<void> {
  await mkdir(to, { mode: 0o700 });
  const entries = await readdir(from, { withFileTypes: true }).catch((error: unknown) => {
    throw asFailure(error, from);
  });
  for (const entry of entries) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await copyFolder(source, target);
    else if (entry.isFile()) await copyDurably(source, target);
  }
  await syncFolder(to);
}

/** A copy keeps the times of what was copied. */
async function copyDurably(from: string, to: string): Promise<void> {
  // First, since a copy that fails does not tell which of the two was refused.
  await access(from, constants.R_OK).catch((error: unknown) => {
    throw asFailure(error, from);
  });
  try {
    await copyFile(from, to, constants.COPYFILE_EXCL);
    const { atime, mtime } = await stat(from);
    const handle = await open(to, "r+");
    try {
      await handle.utimes(atime, mtime);
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw asFailure(error, to);
  }
}
