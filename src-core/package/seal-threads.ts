import { availableParallelism } from "node:os";
import { setImmediate } from "node:timers/promises";
import { MessageChannel, type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import type { Failure } from "../../src-contract/failure.ts";
import { FailureError, threadDied } from "../failing.ts";
import { startThreads, takeThread } from "../threads.ts";
import { PIECE_SIZE } from "./plan-file.ts";
import {
  AT,
  announce,
  createRingBuffers,
  DUTIES,
  type Duty,
  digestSize,
  MAX_RESULTS,
  openRing,
  pieceCount,
  pieceRange,
  type Ring,
  type RingBuffers,
  SHA256_SIZE,
  SLOTS,
} from "./seal-ring.ts";
import type { SealThread } from "./seal-worker.ts";

/** Beyond eight readers a disk gains nothing more. */
const MAX_THREADS = 8;
/** How often a wait is interrupted to look for a cancellation and for a thread that died, milliseconds. */
const WAIT_MS = 100;
/** While the plan still grows, at most this many pieces are hashed: 256 MiB of archive, whose digests are kept meanwhile. */
const AHEAD_PIECES = 128;

const SEAL_WORKER = new URL("./seal-worker.ts", import.meta.url);
/** Reference mode on a small machine needs no more; what else is needed is started when that is known. */
const EARLY_WORKERS = 2;

/** Starts threads for the next `SealThreads`, which take as long to start as this one. */
export function startSealWorkers(): void {
  startThreads(SEAL_WORKER, EARLY_WORKERS);
}

/** The digests of one entry, in archive order. */
export interface EntryDigests {
  readonly sha256: string;
  readonly sha512: string | null;
  /** Kind of content, for `mediaTypes`. */
  readonly kind: number;
}

export interface SealThreadsOptions {
  readonly folder: string;
  readonly topFolder: string;
  readonly sha512: boolean;
  readonly archive: SealThread["archive"];
  /** Throws when the user asked to stop. */
  readonly checkCancelled: () => void;
}

/**
 * Runs the sealing threads from a coordinating thread (never the main one: it blocks while it waits). Every source byte is read
 * once; file digests, part digests and the archive's digest come from that one read. Memory is the ring's, whatever the size.
 */
export class SealThreads {
  readonly #options: SealThreadsOptions;
  #buffers: RingBuffers;
  #ring: Ring;
  #failures: MessagePort[] = [];
  /** Why a thread died: it could not be loaded, or ran out of memory. Such a thread does no piece and posts no failure. */
  #death: Error | undefined;
  /** Pieces whose results were taken, and the first of the current region. */
  #pieces = 0;
  #first = 0;
  #end = 0;
  #partSize: number | null = null;
  /** Digests of pieces that were done before the plan was. */
  #kept: EntryDigests[] = [];

  constructor(options: SealThreadsOptions) {
    this.#options = options;
    this.#buffers = createRingBuffers(options.sha512);
    this.#ring = openRing(this.#buffers);
    this.#startAll();
  }

  /** Duties go to threads of their own: their digests are the longest chains of work. */
  #startAll(): void {
    const { archive } = this.#options;
    const duties: Duty[] = archive === null ? ["files", "parts"] : ["files", "parts", "archive"];
    const count = Math.max(duties.length, Math.min(availableParallelism(), MAX_THREADS));
    if (archive === null) Atomics.store(this.#ring.control, AT.done + DUTIES.indexOf("archive"), 0x7fffffff);
    for (let i = 0; i < count; i++) {
      const duty = duties[i];
      this.#start(duty === undefined ? [] : [duty]);
    }
  }

  #start(duties: readonly Duty[]): void {
    const { port1, port2 } = new MessageChannel();
    this.#failures.push(port1);
    const thread: SealThread = {
      buffers: this.#buffers,
      folder: this.#options.folder,
      topFolder: this.#options.topFolder,
      sha512: this.#options.sha512,
      duties,
      archive: this.#options.archive,
      failures: port2,
    };
    const worker = takeThread(SEAL_WORKER);
    worker.unref();
    worker.postMessage(thread, [port2]);
    worker.on("error", (error: Error) => {
      this.#death ??= error;
    });
  }

  /**
   * Lets the threads begin while the plan is still being written: its first `planned` archive bytes are on disk. Neither waits nor
   * throws; what goes wrong is thrown by `run`, so that the walk's own findings are told first.
   */
  ahead(planned: number, partSize: number): void {
    const { control, run } = this.#ring;
    if (this.#partSize === null) {
      this.#partSize = partSize;
      run.set([0, 0, Number.MAX_SAFE_INTEGER, partSize]);
    }
    while (this.#isDone(this.#pieces)) this.#take((digests) => this.#kept.push(digests));
    Atomics.store(control, AT.limit, Math.min(AHEAD_PIECES, Math.floor(planned / PIECE_SIZE)));
    announce(control);
  }

  /**
   * Hashes the archive region [start, end), whose entries are in the plan on disk, and hands over each entry's digests in order.
   * Regions must follow each other; `partSize` stays the same. Where `ahead` was told another part size, what was hashed by then is
   * read a second time: the plan has grown beyond the parts that S3 allows, so that is less than a part in five hundred.
   * Throws the first Failure of a thread, CANCELLED, or INTERNAL for a thread that died.
   */
  async run(
    { start, end, partSize }: { readonly start: number; readonly end: number; readonly partSize: number },
    onEntry: (digests: EntryDigests) => void,
    onBytes: (bytes: number) => void,
  ): Promise<void> {
    if (this.#partSize !== null && this.#partSize !== partSize) await this.#startAgain();
    this.#partSize = partSize;
    const { control, run } = this.#ring;
    const last = this.#first + pieceCount(start, end);
    run.set([this.#first, start, end, partSize]);
    Atomics.store(control, AT.limit, last);
    announce(control);
    for (const digests of this.#kept) onEntry(digests);
    this.#kept = [];
    while (this.#pieces < last) {
      await this.#waitFor(() => this.#isDone(this.#pieces));
      this.#take(onEntry);
      onBytes(pieceRange(run, this.#pieces - 1).end);
    }
    this.#first = last;
    this.#end = end;
  }

  /** An archive that is being written is written again from its start. */
  async #startAgain(): Promise<void> {
    this.stop();
    await this.#waitFor(() => this.#areEnded());
    this.#failures = [];
    this.#kept = [];
    this.#pieces = 0;
    this.#buffers = createRingBuffers(this.#options.sha512);
    this.#ring = openRing(this.#buffers);
    this.#startAll();
  }

  #areEnded(): boolean {
    return Atomics.load(this.#ring.control, AT.ended) === this.#failures.length;
  }

  #isDone(piece: number): boolean {
    const { control } = this.#ring;
    return DUTIES.every((_, i) => Atomics.load(control, AT.done + i) > piece);
  }

  /** Hands over the results of the next piece, which is done, and frees its slot. */
  #take(onEntry: (digests: EntryDigests) => void): void {
    const slot = this.#pieces % SLOTS;
    const size = digestSize(this.#options.sha512);
    const results = Atomics.load(this.#ring.control, AT.results + slot);
    const digests = Buffer.from(this.#ring.digests.buffer, slot * MAX_RESULTS * size, results * size);
    const hex = digests.toString("hex");
    for (let i = 0; i < results; i++) {
      const at = i * size * 2;
      onEntry({
        sha256: hex.slice(at, at + SHA256_SIZE * 2),
        sha512: this.#options.sha512 ? hex.slice(at + SHA256_SIZE * 2, at + size * 2) : null,
        kind: this.#ring.kinds[slot * MAX_RESULTS + i] as number,
      });
    }
    this.#pieces += 1;
    Atomics.store(this.#ring.control, AT.taken, this.#pieces);
    announce(this.#ring.control);
  }

  /** Ends the threads; the part digests, and the archive's digest where the archive was written. All lower-case hex. Throws as `run`. */
  async finish(): Promise<{ readonly parts: string[]; readonly archiveSha256: string | null }> {
    const { control, partDigests } = this.#ring;
    Atomics.store(control, AT.finish, 1);
    announce(control);
    await this.#waitFor(() => this.#areEnded());
    const hex = (at: number) => Buffer.from(partDigests.slice(at, at + SHA256_SIZE)).toString("hex");
    const parts = Array.from({ length: Math.ceil(this.#end / (this.#partSize ?? this.#end)) }, (_, i) =>
      hex(i * SHA256_SIZE),
    );
    const archiveSha256 = this.#options.archive === null ? null : hex(partDigests.length - SHA256_SIZE);
    return { parts, archiveSha256 };
  }

  /** Stops all threads at once; safe to call at any time. */
  stop(): void {
    Atomics.store(this.#ring.control, AT.stop, 1);
    announce(this.#ring.control);
    for (const port of this.#failures) port.close();
  }

  /**
   * Blocks while the threads are at work. When nothing has changed for a while the event loop gets a turn, since it alone tells of a
   * thread that died; on a slow machine that is a turn for nothing.
   */
  async #waitFor(isDone: () => boolean): Promise<void> {
    const { control } = this.#ring;
    for (;;) {
      const seen = Atomics.load(control, AT.changes);
      this.#throwFailure();
      if (isDone()) return;
      this.#options.checkCancelled();
      if (Atomics.wait(control, AT.changes, seen, WAIT_MS) === "timed-out") await setImmediate();
    }
  }

  #throwFailure(): void {
    if (this.#death !== undefined) throw threadDied(this.#death);
    if (Atomics.load(this.#ring.control, AT.stop) === 0) return;
    // A thread posts its failure before it stops the others; ports that `stop` closed have nothing more to tell.
    for (const port of this.#failures) {
      const received = receiveMessageOnPort(port) as { message: Failure } | undefined;
      if (received !== undefined) throw new FailureError(received.message);
    }
  }
}
