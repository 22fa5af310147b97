import { Worker } from "node:worker_threads";
import type { Failure } from "../../src-contract/failure.ts";
import type { CallOptions, Progress } from "../../src-contract/progress.ts";
import { cancelled, FailureError, throwIfCancelled } from "../failing.ts";

interface Message<T> {
  readonly progress?: Progress;
  readonly result?: T;
  readonly failure?: Failure;
}

/**
 * Runs blocking work in a thread of its own and answers with its result. The thread posts `{ progress }`, then `{ result }` or
 * `{ failure }`. On cancellation `stop` asks the thread to end by itself, where that is given; else it is ended at once.
 */
export function runThread<T>(
  script: URL,
  workerData: unknown,
  options: CallOptions,
  stop?: () => void,
): Promise<T> {
  throwIfCancelled(options.signal);
  return new Promise((resolve, reject) => {
    const worker = new Worker(script, { workerData });
    const onAbort = stop ?? (() => void worker.terminate());
    options.signal?.addEventListener("abort", onAbort, { once: true });
    worker.on("message", ({ progress, result, failure }: Message<T>) => {
      try {
        if (progress !== undefined) options.onProgress?.(progress);
      } catch (error) {
        // Thrown from here it would end the process.
        reject(error);
        void worker.terminate();
      }
      if (result !== undefined) resolve(result);
      if (failure !== undefined) reject(new FailureError(failure));
    });
    worker.on("error", reject);
    worker.on("exit", () => {
      options.signal?.removeEventListener("abort", onAbort);
      reject(options.signal?.aborted ? cancelled() : new Error(`the thread ${script.pathname} ended early`));
    });
  });
}
