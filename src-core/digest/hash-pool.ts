import { availableParallelism } from "node:os";
import type { Worker } from "node:worker_threads";
import type { Outcome } from "../../src-contract/failure.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import { cancelled, fail, threadDied, throwIfCancelled } from "../failing.ts";
import { startThreads, takeThread } from "../threads.ts";
import type { Batch, DigestJob, DigestResult, Task } from "./hash-worker.ts";
import type { Landing } from "./landing.ts";

export type { DigestAlgorithm, DigestJob, DigestResult } from "./hash-worker.ts";

/** More threads than this read no faster from one disk. */
const MOST_WORKERS = 8;
/** A batch ends at this many jobs or bytes, so that many small files need few messages and no thread waits for another at the end. */
const BATCH_JOBS = 64;
const BATCH_BYTES = 8 * 1024 * 1024;
/** What a job of unknown size counts in a batch. */
const UNKNOWN_SIZE = 256 * 1024;
const POLL_MS = 100;
// As in hash-worker.ts, whose values must not be imported here: it would run in this thread.
const STOP = 0;
const BYTES = 1;

interface RunOptions extends CallOptions {
  /** Bytes read since the last call, about ten times a second; in sum all bytes read. */
  readonly onBytes?: (bytes: number) => void;
  /** The one file of all jobs is still being written: each waits for its bytes, and they are worked through in their own order. */
  readonly landing?: Landing | undefined;
}

/** Digests files, or ranges of files, in worker threads. Runs may overlap; memory is 256 KiB per thread beside the jobs. */
export interface HashPool {
  /**
   * Results stand in the order of the jobs; a job that fails is a result, not a throw. The largest job is begun first, among all runs
   * under way: it is the longest chain of work.
   * Throws CANCELLED soon after the signal fires.
   */
  run(jobs: readonly DigestJob[], options?: RunOptions): Promise<DigestResult[]>;
  /**
   * Loads a module in one of the threads and answers with what its `run(request)` does, which may block: a thread of its own would
   * cost a twentieth of a second to start. Goes before digests that wait; the thread digests nothing meanwhile.
   */
  perform<T>(module: URL, request: unknown): Promise<Outcome<T>>;
  /** Ends the threads. What is under way fails. */
  close(): Promise<void>;
}

interface Run {
  readonly jobs: readonly DigestJob[];
  /** Job numbers in order of work. */
  readonly order: Uint32Array;
  readonly control: Int32Array;
  readonly landed: BigInt64Array | null;
  readonly results: DigestResult[];
  next: number;
  open: number;
  readonly settle: (error: unknown) => void;
}

interface Sent {
  readonly message: Batch | Task;
  readonly bytes: number;
  readonly answer: (answer: unknown) => void;
  readonly fail: (error: unknown) => void;
}

interface Thread {
  readonly worker: Worker;
  /**
   * What the thread has not answered, in the order it answers. An array and not a Map: a Map that is filled and emptied without end
   * leaves a chain of old tables, through which the garbage collector keeps all jobs and results until its next full round.
   */
  readonly pending: Sent[];
}

const weigh = (job: DigestJob): number => job.length ?? job.sizeHint ?? UNKNOWN_SIZE;
const nextWeight = (run: Run): number => weigh(run.jobs[run.order[run.next] ?? 0] as DigestJob);

const HASH_WORKER = new URL("./hash-worker.ts", import.meta.url);

/** Starts threads for the pool that is created next: so many, as far as there are cores. */
export function startHashing(threads: number): void {
  startThreads(HASH_WORKER, Math.min(availableParallelism(), threads));
}

/** Threads start with the first work that needs them, and an idle one does not keep the process alive. */
export function createHashPool(options: { readonly workers?: number } = {}): HashPool {
  const limit = options.workers ?? Math.min(availableParallelism(), MOST_WORKERS);
  const threads: Thread[] = [];
  const runs: Run[] = [];
  const tasks: Sent[] = [];
  let closed = false;

  function startThread(): Thread {
    const worker = takeThread(HASH_WORKER);
    const thread: Thread = { worker, pending: [] };
    worker.on("message", (answer: unknown) => {
      const sent = thread.pending.shift();
      // One that is being ended keeps the process alive until it has: whoever closes the pool waits for that.
      if (thread.pending.length === 0 && !closed) worker.unref();
      sent?.answer(answer);
      dispatch();
    });
    worker.on("error", (error) => dropThread(thread, error));
    worker.on("exit", () => dropThread(thread, new Error("a hashing thread ended")));
    worker.unref();
    threads.push(thread);
    return thread;
  }

  function dropThread(thread: Thread, error: unknown): void {
    const at = threads.indexOf(thread);
    if (at !== -1) threads.splice(at, 1);
    for (const sent of thread.pending.splice(0)) sent.fail(threadDied(error));
  }

  function nextBatch(): Sent | null {
    let run: Run | undefined;
    for (const candidate of runs) {
      if (candidate.next === candidate.order.length) continue;
      if (run === undefined || nextWeight(candidate) > nextWeight(run)) run = candidate;
    }
    if (run === undefined) return null;
    const from = run.next;
    let bytes = 0;
    while (run.next < run.order.length && run.next - from < BATCH_JOBS && bytes < BATCH_BYTES) {
      bytes += weigh(run.jobs[run.order[run.next] ?? 0] as DigestJob);
      run.next += 1;
    }
    run.open += 1;
    return sentBatch(run, run.order.subarray(from, run.next), bytes);
  }

  function sentBatch(run: Run, numbers: Uint32Array, bytes: number): Sent {
    const jobs = Array.from(numbers, (number) => run.jobs[number] as DigestJob);
    return {
      message: { jobs, control: run.control, landed: run.landed },
      bytes,
      answer: (done) => {
        (done as DigestResult[]).forEach((result, i) => {
          run.results[numbers[i] as number] = result;
        });
        run.open -= 1;
        if (run.open === 0 && run.next === run.order.length) run.settle(null);
      },
      fail: run.settle,
    };
  }

  /** A thread that works on a small batch is given one more, so that it never waits for a message; a large job is left to whoever is free. */
  function freeThread(): Thread | null {
    const idle = threads.find((thread) => thread.pending.length === 0);
    if (idle !== undefined) return idle;
    if (threads.length < limit) return startThread();
    const almost = threads.find(
      ({ pending }) => pending.length === 1 && pending.every((batch) => batch.bytes < BATCH_BYTES),
    );
    return almost ?? null;
  }

  function dispatch(): void {
    for (;;) {
      if (tasks.length === 0 && !runs.some((run) => run.next < run.order.length)) return;
      const thread = freeThread();
      if (thread === null) return;
      const sent = tasks.shift() ?? nextBatch();
      if (sent === null) return;
      if (thread.pending.length === 0) thread.worker.ref();
      thread.pending.push(sent);
      thread.worker.postMessage(sent.message);
    }
  }

  function perform<T>(module: URL, request: unknown): Promise<Outcome<T>> {
    return new Promise((resolve, reject) => {
      tasks.push({
        message: { module: module.href, request },
        bytes: Number.POSITIVE_INFINITY,
        answer: (answer) => resolve(answer as Outcome<T>),
        fail: reject,
      });
      dispatch();
    });
  }

  async function run(jobs: readonly DigestJob[], runOptions: RunOptions = {}): Promise<DigestResult[]> {
    const { signal, onBytes, landing } = runOptions;
    throwIfCancelled(signal);
    if (closed) throw fail("INTERNAL", "The hashing threads are ended.", "Report this message.");
    if (jobs.length === 0) return [];
    const control = new Int32Array(new SharedArrayBuffer(8));
    let counted = 0;
    const count = (): void => {
      const now = Atomics.load(control, BYTES);
      const grown = (now - counted) >>> 0;
      counted = now;
      if (grown > 0) onBytes?.(grown);
    };
    const timer = onBytes === undefined ? undefined : setInterval(count, POLL_MS);
    let stop: (() => void) | undefined;
    try {
      return await new Promise<DigestResult[]>((resolve, reject) => {
        const weights = Float64Array.from(jobs, weigh);
        const order = Uint32Array.from(jobs.keys());
        const weight = (number: number): number => weights[number] ?? 0;
        // Equal weights keep their order: neighbours on disk, and ranges of one archive, stay neighbours.
        if (landing === undefined && weights.some((value) => value !== weights[0]))
          order.sort((a, b) => weight(b) - weight(a) || a - b);
        const results: DigestResult[] = new Array(jobs.length);
        const state: Run = {
          jobs,
          order,
          control,
          landed: landing?.landed ?? null,
          results,
          next: 0,
          open: 0,
          settle: (error) => {
            const at = runs.indexOf(state);
            if (at === -1) return;
            runs.splice(at, 1);
            if (error === null) resolve(results);
            else {
              Atomics.store(control, STOP, 1);
              reject(error);
            }
          },
        };
        stop = () => state.settle(cancelled());
        signal?.addEventListener("abort", stop, { once: true });
        runs.push(state);
        dispatch();
      });
    } finally {
      clearInterval(timer);
      if (stop !== undefined) signal?.removeEventListener("abort", stop);
      count();
    }
  }

  async function close(): Promise<void> {
    closed = true;
    for (const state of [...runs]) state.settle(cancelled());
    for (const task of tasks.splice(0)) task.fail(cancelled());
    await Promise.all(threads.map((thread) => thread.worker.terminate()));
  }

  return { run, perform, close };
}
