import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { cp, readdir } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { packageIdSchema, sha256HexSchema } from "../../src-contract/names.ts";

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
    else throw Object.assign(new Error(`${path} is neither file nor folder`), { code: "ELOOP" });
  }
  return digests;
}

async function digestFile(path: string): Promise<string> {
  const digest = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), digest);
  return digest.digest("hex");
}

/** Copies a folder of ours; links are not followed and nothing is overwritten. */
export async function copyFolder(from: string, to: string): Promise<void> {
  await cp(from, to, { recursive: true, errorOnExist: true, force: false, preserveTimestamps: true });
}
