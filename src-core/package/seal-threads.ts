import { availableParallelism } from "node:os";
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads";
import type { Failure } from "../../src-contract/failure.ts";
import { FailureError, fail } from "../failing.ts";
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
/** Small files make many short-lived objects: with Node's smaller default a twentieth more CPU goes into 100,000 of them. */
const YOUNG_GENERATION_MB = 32;
/** How often a wait is interrupted to look for a cancellation, milliseconds. */
const WAIT_MS = 100;

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
  readonly #buffers: RingBuffers;
  readonly #ring: Ring;
  readonly #failures: MessagePort[] = [];
  #pieces = 0;
  #end = 0;
  #partSize = 1;

  constructor(options: SealThreadsOptions) {
    this.#options = options;
    this.#buffers = createRingBuffers(options.sha512);
    this.#ring = openRing(this.#buffers);
    // Duties go to threads of their own: their digests are the longest chains of work.
    const duties: Duty[] = options.archive === null ? ["files", "parts"] : ["files", "parts", "archive"];
    const count = Math.max(duties.length, Math.min(availableParallelism(), MAX_THREADS));
    if (options.archive === null)
      Atomics.store(this.#ring.control, AT.done + DUTIES.indexOf("archive"), 0x7fffffff);
    for (let i = 0; i < count; i++) {
      const duty = duties[i];
      this.#start(duty === undefined ? [] : [duty]);
    }
  }

  #start(duties: readonly Duty[]): void {
    const { port1, port2 } = new MessageChannel();
    this.#failures.push(port1);
    const workerData: SealThread = {
      buffers: this.#buffers,
      folder: this.#options.folder,
      topFolder: this.#options.topFolder,
      sha512: this.#options.sha512,
      duties,
      archive: this.#options.archive,
      failures: port2,
    };
    new Worker(new URL("./seal-worker.ts", import.meta.url), {
      workerData,
      transferList: [port2],
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    }).unref();
  }

  /**
   * Hashes the archive region [start, end), whose entries are in the plan on disk, and hands over each entry's digests in order.
   * Regions must follow each other; `partSize` stays the same.
   */
  run(
    { start, end, partSize }: { readonly start: number; readonly end: number; readonly partSize: number },
    onEntry: (digests: EntryDigests) => void,
    onBytes: (bytes: number) => void,
  ): void {
    const { control, run } = this.#ring;
    const count = pieceCount(start, end);
    run.set([this.#pieces, start, end, partSize]);
    this.#partSize = partSize;
    Atomics.store(control, AT.limit, this.#pieces + count);
    announce(control);
    for (const last = this.#pieces + count; this.#pieces < last; this.#pieces++) {
      this.#waitFor(() => this.#isDone(this.#pieces));
      this.#take(this.#pieces % SLOTS, onEntry);
      Atomics.store(control, AT.taken, this.#pieces + 1);
      announce(control);
      onBytes(pieceRange(run, this.#pieces).end);
    }
    this.#end = end;
  }

  #isDone(piece: number): boolean {
    const { control } = this.#ring;
    return DUTIES.every((_, i) => Atomics.load(control, AT.done + i) > piece);
  }

  #take(slot: number, onEntry: (digests: EntryDigests) => void): void {
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
  }

  /** Ends the threads; the part digests, and the archive's digest where the archive was written. All lower-case hex. */
  finish(): { readonly parts: string[]; readonly archiveSha256: string | null } {
    const { control, partDigests } = this.#ring;
    Atomics.store(control, AT.finish, 1);
    announce(control);
    this.#waitFor(() => Atomics.load(control, AT.ended) === this.#failures.length);
    const hex = (at: number) => Buffer.from(partDigests.slice(at, at + SHA256_SIZE)).toString("hex");
    const parts = Array.from({ length: Math.ceil(this.#end / this.#partSize) }, (_, i) =>
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

  #waitFor(isDone: () => boolean): void {
    const { control } = this.#ring;
    for (;;) {
      const seen = Atomics.load(control, AT.changes);
      this.#throwFailure();
      if (isDone()) return;
      this.#options.checkCancelled();
      Atomics.wait(control, AT.changes, seen, WAIT_MS);
    }
  }

  #throwFailure(): void {
    if (Atomics.load(this.#ring.control, AT.stop) === 0) return;
    for (const port of this.#failures) {
      const received = receiveMessageOnPort(port) as { message: Failure } | undefined;
      if (received !== undefined) throw new FailureError(received.message);
    }
    throw fail(
      "INTERNAL",
      "A sealing thread ended without a reason.",
      "Run the command again; if it happens again, report it.",
    );
  }
}
