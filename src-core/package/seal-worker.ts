import { createHash, type Hash, hash as hashOnce } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import type { MessagePort } from "node:worker_threads";
import { header, TRAILER_SIZE, writeHeader } from "../archive/tar-layout.ts";
import { asFailure } from "../failing.ts";
import { writeFullySync } from "../full-io.ts";
import { firstMessage } from "./answer-parent.ts";
import { SNIFF_SIZE, sniff } from "./content-kind.ts";
import { headerTime, PIECE_SIZE, type PlacedEntry, PlanReader } from "./plan-file.ts";
import {
  AT,
  announce,
  DUTIES,
  type Duty,
  digestSize,
  MAX_RESULTS,
  openRing,
  pieceRange,
  type RingBuffers,
  SHA256_SIZE,
  SLICE_FIELDS,
  SLOTS,
} from "./seal-ring.ts";
import { readUnchanged, requireEmpty } from "./source-read.ts";

/** What the coordinator posts to a sealing thread first. */
export interface SealThread {
  readonly buffers: RingBuffers;
  readonly folder: string;
  readonly topFolder: string;
  readonly sha512: boolean;
  readonly duties: readonly Duty[];
  /** The archive, which is there and empty; null in reference mode. */
  readonly archive: string | null;
  readonly failures: MessagePort;
}

const thread = await firstMessage<SealThread>();
const ring = openRing(thread.buffers);
const { control } = ring;
const resultSize = digestSize(thread.sha512);

/** Files that span pieces: state of the file being hashed. */
let file256: Hash | null = null;
let file512: Hash | null = null;
let begunKind = 0;
/** State of the part and of the archive being hashed. */
let part: Hash | null = null;
const wholeArchive = createHash("sha256");

/** Opened at the first piece: this thread may start before the plan is there. */
let plan: PlanReader | undefined;
function openPlan(): PlanReader {
  plan ??= new PlanReader(thread.folder, thread.topFolder);
  return plan;
}

/**
 * Opened by the thread that writes and by no other: a descriptor that somebody else closes while this thread still runs may by then
 * be another file's, which would be overwritten.
 */
let archive: number | undefined;
function openArchive(path: string): number {
  archive ??= openSync(path, "r+");
  return archive;
}

function partSize(): number {
  return ring.run[3] as number;
}

function slotBytes(piece: number): Buffer {
  return Buffer.from(ring.bytes, (piece % SLOTS) * PIECE_SIZE, PIECE_SIZE);
}

/** Produces a piece: headers, contents read once from their sources, padding; hashes the files that lie wholly inside. */
function fill(piece: number): void {
  const slot = piece % SLOTS;
  const { start, end } = pieceRange(ring.run, piece);
  const bytes = slotBytes(piece);
  let results = 0;
  ring.slices.fill(0, slot * 2 * SLICE_FIELDS, (slot + 1) * 2 * SLICE_FIELDS);
  let reached = start;
  for (const entry of openPlan().within(start, end)) {
    if (entry.headerOffset >= start) placeHeader(bytes, entry, start, end);
    else placeRestOfHeader(bytes, entry, start, end);
    const from = Math.max(entry.contentOffset, start);
    const to = Math.min(entry.contentOffset + entry.size, end);
    if (from < to) readUnchanged(entry, bytes.subarray(from - start, to - start), from - entry.contentOffset);
    const contentEnd = entry.contentOffset + entry.size;
    if (entry.size === 0 && contentEnd > start && contentEnd <= end) requireEmpty(entry);
    const padFrom = Math.max(contentEnd, start);
    const padTo = Math.min(entry.end, end);
    if (padFrom < padTo) bytes.fill(0, padFrom - start, padTo - start);
    reached = padTo;
    // An entry ends where its last content byte is; an empty one ends with its header.
    const endsHere = contentEnd > start && contentEnd <= end;
    const beginsHere = entry.contentOffset >= start && from < to;
    if (endsHere && (entry.size === 0 || beginsHere)) {
      finishWhole(slot, results++, bytes.subarray(from - start, Math.max(from, to) - start));
    } else if (from < to) {
      const kind = beginsHere ? kindOf(entry, bytes.subarray(from - start, to - start)) : 0;
      addSlice(
        slot,
        { from: from - start, length: to - from, begins: beginsHere, ends: endsHere, result: results },
        kind,
      );
      if (endsHere) results++;
    }
  }
  if (reached < end) {
    if ((ring.run[2] as number) - reached > TRAILER_SIZE)
      throw new Error("the plan ends before the archive does");
    bytes.fill(0, reached - start, end - start);
  }
  Atomics.store(control, AT.results + slot, results);
  Atomics.store(control, AT.filled + slot, piece + 1);
}

function placeHeader(bytes: Buffer, entry: PlacedEntry, start: number, end: number): void {
  if (entry.contentOffset <= end) {
    writeHeader(bytes, entry.headerOffset - start, archivePath(entry), entry.size, headerTime(entry));
  } else {
    headerOf(entry).copy(bytes, entry.headerOffset - start, 0, end - entry.headerOffset);
  }
}

function placeRestOfHeader(bytes: Buffer, entry: PlacedEntry, start: number, end: number): void {
  if (entry.contentOffset <= start) return;
  headerOf(entry).copy(
    bytes,
    0,
    start - entry.headerOffset,
    Math.min(end, entry.contentOffset) - entry.headerOffset,
  );
}

function headerOf(entry: PlacedEntry): Buffer {
  return header(archivePath(entry), entry.size, headerTime(entry));
}

function archivePath(entry: PlacedEntry): string {
  return `${thread.topFolder}/${entry.path}`;
}

function finishWhole(slot: number, result: number, content: Buffer): void {
  const at = (slot * MAX_RESULTS + result) * resultSize;
  ring.digests.set(hashOnce("sha256", content, "buffer"), at);
  if (thread.sha512) ring.digests.set(hashOnce("sha512", content, "buffer"), at + SHA256_SIZE);
  ring.kinds[slot * MAX_RESULTS + result] = sniff(content.subarray(0, SNIFF_SIZE));
}

/** A file may begin so close to a piece's end that too little of it is there to tell its kind. */
function kindOf(entry: PlacedEntry, content: Buffer): number {
  const enough = Math.min(entry.size, SNIFF_SIZE);
  if (content.length >= enough) return sniff(content.subarray(0, SNIFF_SIZE));
  const start = Buffer.alloc(enough);
  readUnchanged(entry, start, 0);
  return sniff(start);
}

interface Slice {
  readonly from: number;
  readonly length: number;
  readonly begins: boolean;
  readonly ends: boolean;
  readonly result: number;
}

/** At most two files span a piece: one that began before it and one that goes on after it. */
function addSlice(slot: number, slice: Slice, kind: number): void {
  let at = slot * 2 * SLICE_FIELDS;
  if (ring.slices[at] === 1) at += SLICE_FIELDS;
  ring.slices.set([1, slice.from, slice.length, slice.begins ? 1 : 0, slice.ends ? 1 : 0, slice.result], at);
  if (slice.begins) ring.kindOfBegun[slot] = kind;
}

function hashSpanningFiles(piece: number): void {
  const slot = piece % SLOTS;
  const bytes = slotBytes(piece);
  for (let i = 0; i < 2; i++) {
    const at = (slot * 2 + i) * SLICE_FIELDS;
    const [present, from, length, begins, ends, result] = ring.slices.subarray(
      at,
      at + SLICE_FIELDS,
    ) as unknown as number[] as [number, number, number, number, number, number];
    if (present !== 1) continue;
    if (begins === 1) {
      file256 = createHash("sha256");
      file512 = thread.sha512 ? createHash("sha512") : null;
      begunKind = ring.kindOfBegun[slot] as number;
    }
    const content = bytes.subarray(from, from + length);
    file256?.update(content);
    file512?.update(content);
    if (ends === 1 && file256 !== null) {
      const to = (slot * MAX_RESULTS + result) * resultSize;
      ring.digests.set(file256.digest(), to);
      if (file512 !== null) ring.digests.set(file512.digest(), to + SHA256_SIZE);
      ring.kinds[slot * MAX_RESULTS + result] = begunKind;
      file256 = null;
      file512 = null;
    }
  }
}

function hashParts(piece: number): void {
  const { start, end } = pieceRange(ring.run, piece);
  part ??= createHash("sha256");
  part.update(slotBytes(piece).subarray(0, end - start));
  if (end % partSize() === 0) closePart(end);
}

/** The last part ends with the archive; the coordinator asks for it by finishing. */
function closePart(end: number): void {
  if (part === null) return;
  ring.partDigests.set(part.digest(), (Math.ceil(end / partSize()) - 1) * SHA256_SIZE);
  part = null;
}

function writeAndHashArchive(piece: number): void {
  const { start, end } = pieceRange(ring.run, piece);
  const bytes = slotBytes(piece).subarray(0, end - start);
  if (thread.archive !== null) {
    const path = thread.archive;
    try {
      writeFullySync(openArchive(path), bytes, start);
    } catch (error) {
      throw asFailure(error, path);
    }
  }
  wholeArchive.update(bytes);
}

const DO: Readonly<Record<Duty, (piece: number) => void>> = {
  files: hashSpanningFiles,
  parts: hashParts,
  archive: writeAndHashArchive,
};

/** Does the next piece of one of this thread's duties, if it is filled. Duties come before filling: they free slots. */
function doDuty(): boolean {
  for (const duty of thread.duties) {
    const counter = AT.done + DUTIES.indexOf(duty);
    const piece = Atomics.load(control, counter);
    if (piece >= Atomics.load(control, AT.limit)) continue;
    if (Atomics.load(control, AT.filled + (piece % SLOTS)) !== piece + 1) continue;
    DO[duty](piece);
    Atomics.store(control, counter, piece + 1);
    return true;
  }
  return false;
}

function fillNext(): boolean {
  for (;;) {
    const piece = Atomics.load(control, AT.nextFill);
    if (piece >= Atomics.load(control, AT.limit) || piece >= Atomics.load(control, AT.taken) + SLOTS)
      return false;
    if (Atomics.compareExchange(control, AT.nextFill, piece, piece + 1) !== piece) continue;
    fill(piece);
    return true;
  }
}

function finish(): void {
  if (thread.duties.includes("parts")) closePart(ring.run[2] as number);
  if (thread.duties.includes("archive")) {
    ring.partDigests.set(wholeArchive.digest(), ring.partDigests.length - SHA256_SIZE);
  }
}

function work(): void {
  for (;;) {
    const seen = Atomics.load(control, AT.changes);
    if (Atomics.load(control, AT.stop) === 1) return;
    if (doDuty() || fillNext()) {
      announce(control);
      continue;
    }
    if (Atomics.load(control, AT.finish) === 1) {
      finish();
      return;
    }
    Atomics.wait(control, AT.changes, seen);
  }
}

function closeFiles(): void {
  plan?.close();
  if (archive !== undefined) closeSync(archive);
}

try {
  work();
} catch (error) {
  thread.failures.postMessage(asFailure(error).failure);
  Atomics.store(control, AT.stop, 1);
} finally {
  closeFiles();
  Atomics.add(control, AT.ended, 1);
  announce(control);
}
