import { systemClock } from "../identity.ts";
import { throttled } from "../throttle.ts";
import { answerParent } from "./answer-parent.ts";
import type { SealJob } from "./seal-job.ts";
import { sealPackage } from "./seal-package.ts";
import { startSealWorkers } from "./seal-threads.ts";

/** The coordinating thread of one sealing: it blocks, so that the main thread never does. */
startSealWorkers();
await answerParent((job: SealJob, report) => {
  // There is a piece of the archive every few milliseconds, and every message wakes the main thread.
  const { onProgress } = throttled({ onProgress: report }, systemClock);
  return sealPackage(job, (progress) => onProgress?.(progress));
});
