import { once } from "node:events";
import { parentPort } from "node:worker_threads";
import type { Progress } from "../../src-contract/progress.ts";
import { asFailure } from "../failing.ts";

/** What the parent posts first. A thread may be started long before it is known what it is to do. */
export async function firstMessage<T>(): Promise<T> {
  if (parentPort === null) throw new Error("this runs as a worker thread");
  const [message] = (await once(parentPort, "message")) as [T];
  return message;
}

/** The thread's side of `runThread`: takes the job, does the work, which may block, posts its progress, then its result or its failure. */
export async function answerParent<Job, T>(
  work: (job: Job, report: (progress: Progress) => void) => Promise<T>,
): Promise<void> {
  const job = await firstMessage<Job>();
  const post = (message: unknown) => parentPort?.postMessage(message);
  try {
    post({ result: await work(job, (progress) => post({ progress })) });
  } catch (error) {
    post({ failure: asFailure(error).failure });
  }
}
