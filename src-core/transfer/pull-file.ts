import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import type { FileRecord } from "../../src-contract/manifest.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { PullResult } from "../../src-contract/vault-api.ts";
import { inDraftFolder } from "../draft-folder.ts";
import { createFileDurably, publishFile } from "../durable-files.ts";
import { fail, writeFailure } from "../failing.ts";
import { readManifest } from "../package/manifest-reader.ts";
import type { RangeSource } from "../ports.ts";
import { untilConfirmed } from "./confirmed-digest.ts";
import { manifestOf, openPlacedArchive, type PackagePlace } from "./package-source.ts";
import { refuseTaken } from "./place-pulled.ts";

const CHUNK = 4 * 1024 * 1024;

/**
 * Writes one file of a package, by ranges of its archive, into a folder. Throws FILE_NOT_IN_PACKAGE, PATH_EXISTS, and DIGEST_MISMATCH when it is not
 * as it was sealed; nothing is written then.
 */
export async function pullFile(
  place: PackagePlace,
  path: string,
  to: string,
  options: CallOptions,
): Promise<Omit<PullResult, "package">> {
  const target = join(to, basename(path));
  await refuseTaken([target]);
  return inDraftFolder(to, "pull-file", async (scratch) => {
    const record = await findRecord(await manifestOf(place, scratch, options), path);
    const archive = await openPlacedArchive(place);
    const file = join(scratch, "content");
    try {
      await untilConfirmed(() => createFileDurably(file, verifiedContent(archive, record, options)));
      await publishFile(file, target);
    } catch (error) {
      throw writeFailure(error, target);
    } finally {
      await archive.close();
    }
    return { path: target, bytes: record.size, files: 1 };
  });
}

async function findRecord(source: string | RangeSource, path: string): Promise<FileRecord> {
  const manifest = await readManifest(source);
  let found: FileRecord | undefined;
  for await (const records of manifest.files()) found ??= records.find((record) => record.path === path);
  if (found !== undefined) return found;
  throw fail(
    "FILE_NOT_IN_PACKAGE",
    `The package lists no file ${path}.`,
    "List its files with: strongroom package files PACKAGE --search TEXT",
    { subject: path },
  );
}

/** The last bytes go out only after the digest was compared, so a consumer that needs all of them never has a wrong file. */
async function* verifiedContent(
  archive: RangeSource,
  record: FileRecord,
  options: CallOptions,
): AsyncGenerator<Uint8Array> {
  const digest = createHash("sha256");
  if (record.size === 0) requireDigest(record, digest.copy().digest("hex"));
  for (let done = 0; done < record.size; ) {
    const bytes = Buffer.allocUnsafe(Math.min(CHUNK, record.size - done));
    await archive.read(record.offset + done, bytes, options.signal);
    digest.update(bytes);
    done += bytes.length;
    options.onProgress?.({ phase: "receive", done, total: record.size, unit: "bytes" });
    if (done < record.size) yield bytes;
    else {
      requireDigest(record, digest.digest("hex"));
      yield bytes;
    }
  }
}

function requireDigest(record: FileRecord, actual: string): void {
  if (actual === record.sha256) return;
  throw fail(
    "DIGEST_MISMATCH",
    `${record.path} is not what was sealed: SHA-256 ${actual} instead of ${record.sha256}. Nothing was written.`,
    "Verify the package where it is stored.",
    { subject: record.path, details: { expected: record.sha256, actual } },
  );
}
