import { parentPort, workerData } from "node:worker_threads";
import { asFailure } from "../failing.ts";
import type { SealJob } from "./seal-job.ts";
import { sealPackage } from "./seal-package.ts";

/** The coordinating thread of one sealing: it blocks, so that the main thread never does. */
const port = parentPort;
if (port === null) throw new Error("seal-thread runs as a worker thread");
try {
  const result = await sealPackage(workerData as SealJob, (progress) => port.postMessage({ progress }));
  port.postMessage({ result });
} catch (error) {
  port.postMessage({ failure: asFailure(error).failure });
}
