import { parentPort } from "node:worker_threads";
import type { Progress } from "../../src-contract/progress.ts";
import { asFailure } from "../failing.ts";

/** The thread's side of `runThread`: does the work, which may block, and posts its progress, then its result or its failure. */
export async function answerParent<T>(
  work: (report: (progress: Progress) => void) => Promise<T>,
): Promise<void> {
  const port = parentPort;
  if (port === null) throw new Error("this runs as a worker thread");
  try {
    port.postMessage({ result: await work((progress) => port.postMessage({ progress })) });
  } catch (error) {
    port.postMessage({ failure: asFailure(error).failure });
  }
}
