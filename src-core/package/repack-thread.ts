import { parentPort, workerData } from "node:worker_threads";
import { asFailure } from "../failing.ts";
import { type RepackJob, repackBag } from "./repack-bag.ts";

/** Repacking blocks: it runs in a thread of its own. */
const port = parentPort;
if (port === null) throw new Error("repack-thread runs as a worker thread");
try {
  await repackBag(workerData as RepackJob, (progress) => port.postMessage({ progress }));
  port.postMessage({ result: true });
} catch (error) {
  port.postMessage({ failure: asFailure(error).failure });
}
