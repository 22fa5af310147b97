import { lstat, open, realpath } from "node:fs/promises";
import { resolve } from "node:path";
import type { CallOptions } from "../../src-contract/progress.ts";
import { parseTarHeader } from "../archive/tar-header.ts";
import { asFailure, fail } from "../failing.ts";
import { openFolderSource } from "./folder-source.ts";
import { openGzipSource } from "./gzip-source.ts";
import type { BagSource } from "./inventory.ts";
import { openTarSource } from "./tar-source.ts";
import { openZipSource } from "./zip-source.ts";

/** A local header, or the directory of an empty zip (APPNOTE 4.3). */
const ZIP_STARTS: ReadonlySet<string> = new Set(["PK\u0003\u0004", "PK\u0005\u0006"]);

/** Opens a bag in whatever form it has; an archive is known by its first bytes, never by its name. The caller closes it. */
export async function openBagSource(path: string, options: CallOptions): Promise<BagSource> {
  try {
    const stats = await lstat(path);
    if (stats.isDirectory()) return await openFolderSource(resolve(path), options);
    if (!stats.isFile()) throw notEvidence(path, stats.isSymbolicLink());
    const archive = await realpath(path);
    const start = await readStart(archive);
    if (start[0] === 0x1f && start[1] === 0x8b) return await openGzipSource(archive, stats.size, options);
    if (ZIP_STARTS.has(start.toString("latin1", 0, 4))) {
      return await openZipSource(archive, options);
    }
    if (start.length === 512 && parseTarHeader(start) !== null) return await openTarSource(archive, options);
  } catch (error) {
    throw asFailure(error, path);
  }
  throw fail(
    "ARCHIVE_INVALID",
    `${path} is neither a folder nor a tar, tar.gz or zip archive.`,
    "Name a bag's folder, or an archive of one of these kinds.",
    { subject: path },
  );
}

function notEvidence(path: string, isLink: boolean): Error {
  return isLink
    ? fail(
        "PATH_NOT_EVIDENCE",
        `${path} is a symbolic link, which is never followed.`,
        "Name what it points to.",
        {
          subject: path,
        },
      )
    : fail(
        "PATH_NOT_EVIDENCE",
        `${path} is neither a regular file nor a folder.`,
        "Name a folder or an archive.",
        {
          subject: path,
        },
      );
}

async function readStart(path: string): Promise<Buffer> {
  const handle = await open(path, "r");
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(512), 0, 512, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}
