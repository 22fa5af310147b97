import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { Seal } from "../../src-contract/seal.ts";
import { publishFile, temporaryBeside } from "../durable-files.ts";
import { asFailure, fail, throwIfCancelled } from "../failing.ts";
import { removeFolder } from "../package/package-store.ts";
import type { RangeSource } from "../ports.ts";

const CHUNK = 4 * 1024 * 1024;

/**
 * Writes an archive that is at hand on this device to a new file, each part compared with the seal as it passes; durable and
 * create-only. Throws DIGEST_MISMATCH, PATH_EXISTS, DISK_FULL, CANCELLED; then nothing is left at `target`.
 */
export async function writeArchive(
  source: RangeSource,
  seal: Seal,
  target: string,
  options: CallOptions,
): Promise<void> {
  const temporary = temporaryBeside(target);
  try {
    const handle = await open(temporary, "wx", 0o644);
    try {
      const buffer = Buffer.allocUnsafe(CHUNK);
      for (const [part, expected] of seal.parts.entries()) {
        const digest = createHash("sha256");
        const end = Math.min((part + 1) * seal.partSize, seal.archiveSize);
        for (let at = part * seal.partSize; at < end; at += CHUNK) {
          throwIfCancelled(options.signal);
          const bytes = buffer.subarray(0, Math.min(CHUNK, end - at));
          await source.read(at, bytes, options.signal);
          digest.update(bytes);
          await handle.writeFile(bytes);
          options.onProgress?.({
            phase: "copy",
            done: at + bytes.length,
            total: seal.archiveSize,
            unit: "bytes",
          });
        }
        const actual = digest.digest("hex");
        if (actual !== expected) throw mismatch(part, expected, actual);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    await publishFile(temporary, target);
  } catch (error) {
    await removeFolder(temporary);
    throw asFailure(error, target);
  }
}

function mismatch(part: number, expected: string, actual: string): Error {
  return fail(
    "DIGEST_MISMATCH",
    `Part ${part + 1} of the archive is not what was sealed: SHA-256 ${actual} instead of ${expected}.`,
    "Verify the package; it names the files that changed.",
    { details: { part: part + 1, expected, actual } },
  );
}
