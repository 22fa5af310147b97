import { createHash } from "node:crypto";
import { closeSync, futimesSync, mkdirSync, openSync } from "node:fs";
import { dirname, join } from "node:path";
import type { FileRecord } from "../../src-contract/manifest.ts";
import type { Progress } from "../../src-contract/progress.ts";
import { asFailure, fail } from "../failing.ts";
import { writeFullySync } from "../full-io.ts";
import { ArchiveBytes } from "../verify/archive-bytes.ts";
import { findTagEntries } from "../verify/tag-entries.ts";
import { readManifest } from "./manifest-reader.ts";

export interface ExtractRequest {
  readonly archivePath: string;
  readonly topFolder: string;
  /** A folder that was just made for this, on which nobody else works: so no link can stand in the way of a path. */
  readonly target: string;
}

const CHUNK = 4 * 1024 * 1024;
const PROGRESS_EVERY = 1000;

/**
 * Unpacks an archive of format 1 whose headers and manifest were checked before. Every file's digest is compared while it is written;
 * DIGEST_MISMATCH names the first that differs. Paths come from manifest.json, whose reader refuses all that leave the folder.
 * Files are created, never overwritten; they get the modification time of the evidence and mode 0644.
 */
export async function extractArchive(
  request: ExtractRequest,
  report: (progress: Progress) => void,
): Promise<number> {
  const archive = new ArchiveBytes(request.archivePath);
  try {
    const { tags } = findTagEntries(archive, request.topFolder);
    const manifestEntry = tags.find((tag) => tag.path === `${request.topFolder}/manifest.json`);
    if (manifestEntry === undefined) {
      throw fail("ARCHIVE_INVALID", `${request.archivePath} holds no manifest.json.`, "Verify the package.", {
        subject: request.archivePath,
      });
    }
    const target = new Target(request.target);
    target.folder("data");
    const manifest = await readManifest(archive.range(manifestEntry.contentOffset, manifestEntry.size));
    let files = 0;
    for await (const batch of manifest.batches()) {
      if (batch.list === "emptyFolders") for (const path of batch.entries) target.folder(path);
      if (batch.list !== "files") continue;
      for (const record of batch.entries) {
        extractFile(archive, record, target);
        files += 1;
        if (files % PROGRESS_EVERY === 0) {
          report({ phase: "extract", done: files, total: manifest.header.fileCount, unit: "files" });
        }
      }
    }
    for (const tag of tags) {
      const path = tag.path.slice(request.topFolder.length + 1);
      target.file(path, manifest.header.sealed, (write) =>
        copyContent(archive, tag.contentOffset, tag.size, write),
      );
    }
    return files;
  } finally {
    archive.close();
  }
}

function extractFile(archive: ArchiveBytes, record: FileRecord, target: Target): void {
  const digest = createHash("sha256");
  target.file(record.path, record.modified, (write) =>
    copyContent(archive, record.offset, record.size, (bytes) => {
      digest.update(bytes);
      write(bytes);
    }),
  );
  const actual = digest.digest("hex");
  if (actual === record.sha256) return;
  throw fail(
    "DIGEST_MISMATCH",
    `${record.path} is not what was sealed: SHA-256 ${actual} instead of ${record.sha256}.`,
    "Verify the package where it is stored, and pull it again.",
    { subject: record.path, details: { expected: record.sha256, actual } },
  );
}

const buffer = Buffer.allocUnsafe(CHUNK);

function copyContent(
  archive: ArchiveBytes,
  offset: number,
  size: number,
  write: (bytes: Buffer) => void,
): void {
  for (let done = 0; done < size; ) {
    const bytes = buffer.subarray(0, Math.min(CHUNK, size - done));
    const filled = archive.read(offset + done, bytes);
    if (filled === 0) {
      throw fail(
        "ARCHIVE_INVALID",
        `The archive ends before byte ${offset + size}.`,
        "Pull the package again.",
      );
    }
    write(bytes.subarray(0, filled));
    done += filled;
  }
}

/** The folder that is unpacked into. */
class Target {
  readonly #root: string;
  readonly #made = new Set<string>();

  constructor(root: string) {
    this.#root = root;
  }

  folder(path: string): void {
    const folder = join(this.#root, path);
    if (this.#made.has(folder)) return;
    try {
      mkdirSync(folder, { recursive: true });
    } catch (error) {
      throw asFailure(error, folder);
    }
    this.#made.add(folder);
  }

  file(path: string, modified: string, fill: (write: (bytes: Buffer) => void) => void): void {
    this.folder(dirname(path));
    const file = join(this.#root, path);
    try {
      const descriptor = openSync(file, "wx", 0o644);
      try {
        fill((bytes) => writeFullySync(descriptor, bytes));
        const time = Date.parse(modified.replace(/(\.\d{3})\d+Z$/, "$1Z")) / 1000;
        futimesSync(descriptor, time, time);
      } finally {
        closeSync(descriptor);
      }
    } catch (error) {
      throw asFailure(error, file);
    }
  }
}
