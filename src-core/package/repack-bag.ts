import { closeSync, lstatSync, openSync } from "node:fs";
import { join } from "node:path";
import type { FileRecord } from "../../src-contract/manifest.ts";
import type { Progress } from "../../src-contract/progress.ts";
import type { Seal } from "../../src-contract/seal.ts";
import { TRAILER_SIZE } from "../archive/tar-layout.ts";
import { syncFiles } from "../durable-files.ts";
import { asFailure, cancelled, fail } from "../failing.ts";
import { readManifest } from "./manifest-reader.ts";
import { packageName } from "./package-name.ts";
import { type PlanEntry, PlanWriter, planEntry } from "./plan-file.ts";
import { SealThreads } from "./seal-threads.ts";
import { wholeSeconds } from "./times.ts";

export interface RepackJob {
  /** An unpacked bag of format 1. */
  readonly bag: string;
  readonly seal: Seal;
  /** An empty folder of ours; the archive and the plan are written there. */
  readonly folder: string;
  /** Int32Array(1): 1 asks to stop. */
  readonly cancel: SharedArrayBuffer;
}

/**
 * Makes the sealed archive again from an unpacked bag: headers from manifest.json, contents from the bag. Its parts must have the
 * sealed digests, so what comes out is the archive that was sealed, to the byte. Throws NOT_VALID when it is not.
 */
export async function repackBag(job: RepackJob, report: (progress: Progress) => void): Promise<void> {
  const { bag, seal, folder } = job;
  const topFolder = packageName(seal);
  const path = join(folder, seal.archive);
  closeSync(openSync(path, "wx", 0o644));
  const cancel = new Int32Array(job.cancel);
  const threads = new SealThreads({
    folder,
    topFolder,
    sha512: false,
    archive: path,
    checkCancelled: () => {
      if (Atomics.load(cancel, 0) === 1) throw cancelled();
    },
  });
  try {
    const end = await planBag(bag, folder, topFolder, seal);
    await threads.run(
      { start: 0, end, partSize: seal.partSize },
      () => undefined,
      (done) => {
        report({ phase: "copy", done, total: end, unit: "bytes" });
      },
    );
    const { parts } = await threads.finish();
    const wrong = seal.parts.findIndex((expected, i) => expected !== parts[i]);
    if (end !== seal.archiveSize || wrong >= 0) {
      throw fail(
        "NOT_VALID",
        `${bag} is not the bag that was sealed: part ${wrong + 1} of its archive differs.`,
        `See what differs with: strongroom verify ${bag}`,
        { subject: bag },
      );
    }
    await syncFiles([path]);
  } catch (error) {
    threads.stop();
    throw asFailure(error, bag);
  }
}

async function planBag(bag: string, folder: string, topFolder: string, seal: Seal): Promise<number> {
  const plan = new PlanWriter(folder, topFolder);
  const manifest = await readManifest(join(bag, "manifest.json"));
  let with512 = false;
  for await (const records of manifest.files()) {
    for (const record of records) {
      with512 ||= record.sha512 !== undefined;
      plan.add(bagEntry(bag, record.path, wholeSeconds(record.modified), record));
    }
  }
  const sealed = wholeSeconds(manifest.header.sealed);
  const tags = [
    "bagit.txt",
    "bag-info.txt",
    "manifest.json",
    "manifest-sha256.txt",
    "tagmanifest-sha256.txt",
  ];
  if (with512) {
    tags.splice(4, 0, "manifest-sha512.txt");
    tags.push("tagmanifest-sha512.txt");
  }
  for (const name of tags) plan.add(bagEntry(bag, name, sealed));
  plan.close();
  const end = plan.archiveOffset + TRAILER_SIZE;
  if (end === seal.archiveSize) return end;
  throw fail(
    "NOT_VALID",
    `${bag} is not the bag that was sealed: its archive would have ${end} bytes, not ${seal.archiveSize}.`,
    `See what differs with: strongroom verify ${bag}`,
    { subject: bag },
  );
}

function bagEntry(bag: string, path: string, seconds: number, record?: FileRecord): PlanEntry {
  const source = join(bag, path);
  const stats = lstatSync(source, { bigint: true, throwIfNoEntry: false });
  if (stats === undefined || !stats.isFile()) {
    throw fail(
      "NOT_VALID",
      `${path} is ${stats === undefined ? "missing" : "not a regular file"} in ${bag}.`,
      `See all findings with: strongroom verify ${bag}`,
      { subject: path },
    );
  }
  if (record !== undefined && Number(stats.size) !== record.size) {
    throw fail(
      "NOT_VALID",
      `${path} has ${stats.size} bytes instead of ${record.size}.`,
      `See all findings with: strongroom verify ${bag}`,
      { subject: path },
    );
  }
  return {
    ...planEntry(path, Buffer.from(source), stats),
    modifiedNs: BigInt(seconds) * 1_000_000_000n,
  };
}
