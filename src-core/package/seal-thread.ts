import { workerData } from "node:worker_threads";
import { systemClock } from "../identity.ts";
import { throttled } from "../throttle.ts";
import { answerParent } from "./answer-parent.ts";
import type { SealJob } from "./seal-job.ts";
import { sealPackage } from "./seal-package.ts";

/** The coordinating thread of one sealing: it blocks, so that the main thread never does. */
await answerParent((report) => {
  // There is a piece of the archive every few milliseconds, and every message wakes the main thread.
  const { onProgress } = throttled({ onProgress: report }, systemClock);
  return sealPackage(workerData as SealJob, (progress) => onProgress?.(progress));
});
