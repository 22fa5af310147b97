import { createHash } from "node:crypto";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { type FailureError, threadDied } from "../failing.ts";
import type { DigestAnswer, DigestStep } from "./digest-worker.ts";

/** Transfers hash at most this many streams at once; more threads would only take cores from the rest of the program. */
const MAX_THREADS = 2;

/** Up to so many bytes are hashed by the calling thread: 2 ms, where a thread takes fifty to start. */
const WORTH_A_THREAD = 2 * 1024 * 1024;

/** A SHA-256 that is computed in a worker thread, unless it is of few bytes. */
export interface RunningDigest {
  /**
   * Adds bytes; they must not change until the promise settles. Views of a SharedArrayBuffer are not copied (`sharedBytes`).
   * Steps are taken in the order of the calls.
   */
  update(bytes: Uint8Array): Promise<void>;
  /** Lower-case hex; ends the digest. */
  hex(): Promise<string>;
  /** Forgets a digest that is not wanted any more; needed where `hex` was not reached. */
  drop(): Promise<void>;
}

/** Memory that a digest worker can read without a copy. */
export function sharedBytes(size: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(size));
}

interface Waiting {
  readonly resolve: (hex: string | null) => void;
  readonly reject: (error: unknown) => void;
}

/** One worker thread. It keeps the process alive only while an answer is due, so nobody has to close it. */
class DigestThread {
  /** Why it ended; null while it runs. */
  ended: FailureError | null = null;
  readonly #worker = new Worker(new URL("./digest-worker.ts", import.meta.url));
  readonly #waiting = new Map<number, Waiting>();
  #calls = 0;

  constructor() {
    this.#worker.on("message", (answer: DigestAnswer) => {
      this.#waiting.get(answer.call)?.resolve(answer.hex);
      this.#waiting.delete(answer.call);
      if (this.#waiting.size === 0) this.#worker.unref();
    });
    this.#worker.on("error", (error) => this.#end(error));
    this.#worker.on("exit", (code) => this.#end(new Error(`the digest worker ended with ${code}`)));
  }

  /** A digest lives in one thread: once the thread has ended, every further step of it is refused, never begun anew. */
  send(digest: number, step: DigestStep["step"]): Promise<string | null> {
    if (this.ended !== null) return Promise.reject(this.ended);
    const call = ++this.#calls;
    return new Promise((resolve, reject) => {
      this.#waiting.set(call, { resolve, reject });
      this.#worker.ref();
      this.#worker.postMessage({ call, digest, step } satisfies DigestStep);
    });
  }

  #end(cause: unknown): void {
    this.ended ??= threadDied(cause);
    for (const { reject } of this.#waiting.values()) reject(this.ended);
    this.#waiting.clear();
  }
}

const threads: DigestThread[] = [];
let digests = 0;

/** A digest of about `size` bytes. */
export function startDigest(size: number): RunningDigest {
  if (size <= WORTH_A_THREAD) {
    const hash = createHash("sha256");
    return {
      update: async (bytes) => void hash.update(bytes),
      hex: async () => hash.digest("hex"),
      drop: async () => undefined,
    };
  }
  const id = digests++;
  const slot = id % Math.min(MAX_THREADS, availableParallelism());
  let thread = threads[slot];
  if (thread === undefined || thread.ended !== null) {
    thread = new DigestThread();
    threads[slot] = thread;
  }
  const send = thread.send.bind(thread, id);
  return {
    async update(bytes) {
      await send(bytes);
    },
    async hex() {
      return (await send("end")) ?? "";
    },
    async drop() {
      if (thread.ended === null) await send("drop");
    },
  };
}
