import { closeSync, openSync } from "node:fs";
import type { Progress } from "../../src-contract/progress.ts";
import { asFailure, cancelled } from "../failing.ts";
import type { SealedDraft, SealJob } from "./seal-job.ts";
import { SealThreads } from "./seal-threads.ts";

/**
 * Seals a draft: walks the sources, fixes the part plan, reads every source byte once, writes the tag files and the seal into the
 * draft's folder, all synced. Runs in a thread of its own and blocks it. Throws a FailureError; the caller removes the folder then.
 */
export async function sealPackage(job: SealJob, report: (progress: Progress) => void): Promise<SealedDraft> {
  const cancel = new Int32Array(job.cancel);
  const checkCancelled = () => {
    if (Atomics.load(cancel, 0) === 1) throw cancelled();
  };
  if (job.folder === null) return (await import("./sealing.ts")).dryRun(job, report, checkCancelled);
  const archive = job.mode === "copy" ? `${job.name}.tar` : null;
  const archivePath = archive === null ? null : `${job.folder}/${archive}`;
  if (archivePath !== null) closeSync(openSync(archivePath, "wx", 0o644));
  const threads = new SealThreads({
    folder: job.folder,
    topFolder: job.name,
    sha512: job.sha512,
    archive: archivePath,
    checkCancelled,
  });
  try {
    // Loaded while the threads start.
    const { Sealing } = await import("./sealing.ts");
    return await new Sealing(job, job.folder, threads, report, checkCancelled).run(archive);
  } catch (error) {
    threads.stop();
    throw asFailure(error, job.folder);
  }
}
