/**
 * The worker of hash-pool.ts. Imports next to nothing, so that it starts fast, and digests synchronously: a worker has nothing else to do.
 * The types are shared with the pool; they vanish when the types are stripped.
 */
import { createHash, hash } from "node:crypto";
import { closeSync, constants, fstatSync, lstatSync, openSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import { readFullySync } from "../full-io.ts";

export type DigestAlgorithm = "md5" | "sha1" | "sha224" | "sha256" | "sha384" | "sha512";

/** A range of a file to digest. A job is data: it is copied to the worker. */
export interface DigestJob {
  /** Bytes when the name is not valid UTF-8. */
  readonly path: string | Uint8Array;
  /** First byte. */
  readonly offset: number;
  /** Bytes to read from `offset`; null reads to the end of the file. */
  readonly length: number | null;
  readonly algorithms: readonly DigestAlgorithm[];
  /** Size in bytes as far as it is known, for jobs without a length; used for nothing but the order of work. */
  readonly sizeHint?: number;
}

/**
 * Digests are lower-case hex; `size` is the number of bytes read. `code` is the system's error code, or
 * `SHORT` (fewer bytes than `length` are there), `ELOOP` (a symbolic link), `NOT_FILE` (a folder, pipe, socket or device).
 */
export type DigestResult =
  | { readonly ok: true; readonly size: number; readonly digests: Partial<Record<DigestAlgorithm, string>> }
  | { readonly ok: false; readonly code: string };

/** Shared words of one run: set STOP to 1 to end it; bytes read are added to BYTES (a counter that wraps at 2^32). */
const STOP = 0;
const BYTES = 1;

/** Batches are answered in the order they come, each with the results of its jobs in their order. */
export interface Batch {
  readonly jobs: readonly DigestJob[];
  readonly control: Int32Array;
  /** Of a `Landing`: bytes of the jobs' file that are there. Null for files that are whole. */
  readonly landed: BigInt64Array | null;
}

/** A module that exports `run`, which answers with what can be posted. */
export interface Task {
  /** Its URL. */
  readonly module: string;
  readonly request: unknown;
}

/** Stays in the processor's second-level cache between reading and hashing: a tenth faster than 1 MiB. */
const buffer = Buffer.allocUnsafeSlow(256 * 1024);
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

class JobError extends Error {
  readonly code: string;
  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

/** Opens a regular file and nothing else: O_NOFOLLOW against a link, O_NONBLOCK against a pipe that nobody writes to. */
function openRegular(path: string | Uint8Array): number {
  const name = typeof path === "string" ? path : Buffer.from(path);
  // Windows has no O_NOFOLLOW.
  if (constants.O_NOFOLLOW === undefined && lstatSync(name).isSymbolicLink()) throw new JobError("ELOOP");
  const fd = openSync(name, OPEN_FLAGS);
  if (fstatSync(fd).isFile()) return fd;
  closeSync(fd);
  throw new JobError("NOT_FILE");
}

/** How long a thread waits for bytes before it looks whether its run was stopped. */
const LOOK_MS = 100;

/** Blocks until the file has its bytes up to `end`. */
function awaitLanded(landed: BigInt64Array, end: number, control: Int32Array): void {
  for (let there = Atomics.load(landed, 0); there < end; there = Atomics.load(landed, 0)) {
    if (there < 0 || Atomics.load(control, STOP) === 1) throw new JobError("STOPPED");
    Atomics.wait(landed, 0, there, LOOK_MS);
  }
}

/** Fills the buffer from `position` as far as `wanted` and the file reach. */
function fill(fd: number, position: number, wanted: number, { control, landed }: Batch): number {
  const length = Math.min(wanted, buffer.length);
  if (landed !== null) awaitLanded(landed, position + length, control);
  return readFullySync(fd, position, buffer.subarray(0, length));
}

function digest(fd: number, job: DigestJob, batch: Batch): DigestResult {
  const { control } = batch;
  const wanted = job.length ?? Number.POSITIVE_INFINITY;
  const digests: Partial<Record<DigestAlgorithm, string>> = {};
  let size = fill(fd, job.offset, wanted, batch);
  Atomics.add(control, BYTES, size);
  if (size < buffer.length) {
    if (job.length !== null && size < job.length) throw new JobError("SHORT");
    const bytes = buffer.subarray(0, size);
    for (const algorithm of job.algorithms) digests[algorithm] = hash(algorithm, bytes, "hex");
    return { ok: true, size, digests };
  }
  const hashes = job.algorithms.map((algorithm) => [algorithm, createHash(algorithm)] as const);
  for (const [, running] of hashes) running.update(buffer);
  while (size < wanted) {
    if (Atomics.load(control, STOP) === 1) throw new JobError("STOPPED");
    const got = fill(fd, job.offset + size, wanted - size, batch);
    if (got === 0) break;
    Atomics.add(control, BYTES, got);
    size += got;
    for (const [, running] of hashes) running.update(buffer.subarray(0, got));
  }
  if (job.length !== null && size < job.length) throw new JobError("SHORT");
  for (const [algorithm, running] of hashes) digests[algorithm] = running.digest("hex");
  return { ok: true, size, digests };
}

function failed(error: unknown): DigestResult {
  const code: unknown = Reflect.get(Object(error), "code");
  if (typeof code !== "string") throw error;
  // What opening a socket answers.
  return { ok: false, code: code === "ENXIO" || code === "EOPNOTSUPP" ? "NOT_FILE" : code };
}

/** Neighbouring jobs of one file (ranges of an archive) share one descriptor. */
function work(batch: Batch): DigestResult[] {
  const results: DigestResult[] = [];
  let open: { readonly path: string | Uint8Array; readonly fd: number } | null = null;
  try {
    for (const job of batch.jobs) {
      if (Atomics.load(batch.control, STOP) === 1) break;
      try {
        if (open === null || open.path !== job.path) {
          const before: number | null = open?.fd ?? null;
          open = null;
          if (before !== null) closeSync(before);
          open = { path: job.path, fd: openRegular(job.path) };
        }
        results.push(digest(open.fd, job, batch));
      } catch (error) {
        results.push(failed(error));
      }
    }
  } finally {
    if (open !== null) closeSync(open.fd);
  }
  return results;
}

/** What is thrown ends the thread, and the pool says so. */
async function perform({ module, request }: Task): Promise<void> {
  const { run } = (await import(/* @vite-ignore */ module)) as {
    run: (request: unknown) => Promise<unknown>;
  };
  parentPort?.postMessage(await run(request));
}

parentPort?.on("message", (message: Batch | Task) => {
  if ("module" in message) void perform(message);
  else parentPort?.postMessage(work(message));
});
