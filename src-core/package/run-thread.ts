import type { Worker } from "node:worker_threads";
import type { Failure } from "../../src-contract/failure.ts";
import type { CallOptions, Progress } from "../../src-contract/progress.ts";
import { cancelled, FailureError, threadDied, throwIfCancelled } from "../failing.ts";
import { takeThread } from "../threads.ts";

interface Message<T> {
  readonly progress?: Progress;
  readonly result?: T;
  readonly failure?: Failure;
}

/**
 * Runs blocking work in a thread of its own and answers with its result. The thread is posted `job`; it posts `{ progress }`, then `{ result }` or
 * `{ failure }`. On cancellation `stop` asks the thread to end by itself, where that is given; else it is ended at once.
 */
export function runThread<T>(script: URL, job: unknown, options: CallOptions, stop?: () => void): Promise<T> {
  throwIfCancelled(options.signal);
  return new Promise((resolve, reject) => {
    const worker = takeThread(script);
    let failed = false;
    const onAbort = stop ?? (() => void worker.terminate());
    options.signal?.addEventListener("abort", onAbort, { once: true });
    worker.on("message", ({ progress, result, failure }: Message<T>) => {
      try {
        if (progress !== undefined) options.onProgress?.(progress);
      } catch (error) {
        // Thrown from here it would end the process.
        failed = true;
        void worker.terminate().then(() => reject(error));
      }
      if (result !== undefined) resolve(result);
      // The thread still has files open, and threads of its own: who hears of a failure removes what it was working on.
      if (failure !== undefined) {
        failed = true;
        void ended(worker).then(() => reject(new FailureError(failure)));
      }
    });
    worker.on("error", (error) => reject(threadDied(error)));
    worker.postMessage(job);
    worker.on("exit", () => {
      options.signal?.removeEventListener("abort", onAbort);
      if (!failed)
        reject(options.signal?.aborted ? cancelled() : threadDied(`${script.pathname} ended early`));
    });
  });
}

/** A thread that hangs in the operating system, on a share that went away, is not waited for longer than this, milliseconds. */
const LONGEST_END_MS = 5_000;

function ended(worker: Worker): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, LONGEST_END_MS);
    worker.once("exit", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
