import { parentPort, workerData } from "node:worker_threads";
import { asFailure } from "../failing.ts";
import { systemClock } from "../identity.ts";
import { throttled } from "../throttle.ts";
import type { SealJob } from "./seal-job.ts";
import { sealPackage } from "./seal-package.ts";

/** The coordinating thread of one sealing: it blocks, so that the main thread never does. */
const port = parentPort;
if (port === null) throw new Error("seal-thread runs as a worker thread");
try {
  // There is a piece of the archive every few milliseconds, and every message wakes the main thread.
  const { onProgress } = throttled({ onProgress: (progress) => port.postMessage({ progress }) }, systemClock);
  const result = await sealPackage(workerData as SealJob, (progress) => onProgress?.(progress));
  port.postMessage({ result });
} catch (error) {
  port.postMessage({ failure: asFailure(error).failure });
}
