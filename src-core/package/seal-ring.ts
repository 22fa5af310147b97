import { PIECE_SIZE } from "./plan-file.ts";

/**
 * The memory that the sealing threads share: a ring of slots, each holding one piece of the archive while it is filled, hashed
 * and written, and a few counters. Pieces are numbered from 0 in archive order; piece i uses slot i % SLOTS. A slot is free again
 * once the coordinator has taken the piece's results, which it does in order, after every duty is done with the piece.
 */
export const SLOTS = 12;
/** Digest sizes in bytes: SHA-256, and SHA-512 when asked for. */
export const SHA256_SIZE = 32;
const SHA512_SIZE = 64;
/** An entry takes at least one block of 512 bytes, so no more entries end in a piece. */
export const MAX_RESULTS = PIECE_SIZE / 512 + 1;

/** Work that must be done in order of pieces, by one thread, since a digest's state cannot leave its thread. */
export const DUTIES = ["files", "parts", "archive"] as const;
export type Duty = (typeof DUTIES)[number];

/** Indexes into `control`. */
export const AT = {
  /** Grows with every change; threads wait on it. */
  changes: 0,
  /** Next piece that nobody fills yet. */
  nextFill: 1,
  /** Pieces below this may be filled: the coordinator raises it. */
  limit: 2,
  /** Pieces whose results the coordinator has taken. */
  taken: 3,
  /** Pieces that each duty is done with, in the order of DUTIES. */
  done: 4,
  /** 1: stop at once (cancelled, or a thread failed). */
  stop: 7,
  /** Threads that have ended. */
  ended: 9,
  /** 1: no more work will come. */
  finish: 8,
  /** Which piece each slot holds filled, plus one. */
  filled: 16,
  /** Results in each slot. */
  results: 16 + SLOTS,
} as const;

export interface Ring {
  readonly control: Int32Array;
  /** The current run: [first piece, start byte, end byte of the archive region, part size]. */
  readonly run: Float64Array;
  /** SLOTS x PIECE_SIZE bytes. */
  readonly bytes: SharedArrayBuffer;
  /** Per slot MAX_RESULTS x (32 [+ 64]) digest bytes of entries that end in the piece. */
  readonly digests: Uint8Array;
  /** Per slot MAX_RESULTS content kinds (media-type.ts). */
  readonly kinds: Uint8Array;
  /** Per slot two slices of files that are longer than the piece: [present, from, length, begins, ends, result]. */
  readonly slices: Int32Array;
  readonly kindOfBegun: Uint8Array;
  /** SHA-256 of each part, then of the archive. */
  readonly partDigests: Uint8Array;
}

export const SLICE_FIELDS = 6;
const MAX_PART_DIGESTS = 10_001;

export interface RingBuffers {
  readonly control: SharedArrayBuffer;
  readonly run: SharedArrayBuffer;
  readonly bytes: SharedArrayBuffer;
  readonly digests: SharedArrayBuffer;
  readonly kinds: SharedArrayBuffer;
  readonly slices: SharedArrayBuffer;
  readonly partDigests: SharedArrayBuffer;
}

export function digestSize(sha512: boolean): number {
  return SHA256_SIZE + (sha512 ? SHA512_SIZE : 0);
}

export function createRingBuffers(sha512: boolean): RingBuffers {
  return {
    control: new SharedArrayBuffer(4 * (AT.results + SLOTS)),
    run: new SharedArrayBuffer(8 * 4),
    bytes: new SharedArrayBuffer(SLOTS * PIECE_SIZE),
    digests: new SharedArrayBuffer(SLOTS * MAX_RESULTS * digestSize(sha512)),
    kinds: new SharedArrayBuffer(SLOTS * (MAX_RESULTS + 1)),
    slices: new SharedArrayBuffer(4 * SLOTS * 2 * SLICE_FIELDS),
    partDigests: new SharedArrayBuffer(MAX_PART_DIGESTS * SHA256_SIZE),
  };
}

export function openRing(buffers: RingBuffers): Ring {
  return {
    control: new Int32Array(buffers.control),
    run: new Float64Array(buffers.run),
    bytes: buffers.bytes,
    digests: new Uint8Array(buffers.digests),
    kinds: new Uint8Array(buffers.kinds, 0, SLOTS * MAX_RESULTS),
    slices: new Int32Array(buffers.slices),
    kindOfBegun: new Uint8Array(buffers.kinds, SLOTS * MAX_RESULTS, SLOTS),
    partDigests: new Uint8Array(buffers.partDigests),
  };
}

/** Tells all waiting threads that something changed. */
export function announce(control: Int32Array): void {
  Atomics.add(control, AT.changes, 1);
  Atomics.notify(control, AT.changes);
}

/** The archive bytes [start, end) of a piece of the current run. Pieces end at multiples of PIECE_SIZE and at the run's end. */
export function pieceRange(
  run: Float64Array,
  piece: number,
): { readonly start: number; readonly end: number } {
  const [first, runStart, runEnd] = run as unknown as [number, number, number];
  const grid = Math.floor(runStart / PIECE_SIZE) + (piece - first);
  return {
    start: Math.max(runStart, grid * PIECE_SIZE),
    end: Math.min(runEnd, (grid + 1) * PIECE_SIZE),
  };
}

/** How many pieces a region has. */
export function pieceCount(start: number, end: number): number {
  return end <= start ? 0 : Math.ceil(end / PIECE_SIZE) - Math.floor(start / PIECE_SIZE);
}
