import { type BigIntStats, closeSync, openSync, readSync } from "node:fs";
import { headerSize, padded } from "../archive/tar-layout.ts";
import { writeFullySync } from "../full-io.ts";

/**
 * The plan of a package: every entry of its archive in order, on disk, so that neither sealing nor a virtual tar holds a list of
 * files in memory. `plan.records` holds the entries, `plan.index` says for each piece of the archive with which entry it begins.
 * Private to one device, never part of a package.
 */
export interface PlanEntry {
  /** Path inside the bag: `data/...` or the name of a tag file. */
  readonly path: string;
  /** Where its bytes are read, absolute; bytes, since a name need not be Unicode. Empty: beside the plan, under `path`. */
  readonly source: Buffer;
  readonly size: number;
  /** Nanoseconds since 1970. */
  readonly modifiedNs: bigint;
  readonly changedNs: bigint;
  readonly bornNs: bigint;
  readonly inode: bigint;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** An entry at its place. All numbers are bytes of the archive. */
export interface PlacedEntry extends PlanEntry {
  readonly headerOffset: number;
  readonly contentOffset: number;
  /** End of content and padding, where the next entry begins. */
  readonly end: number;
}

/** The entry of a regular file as the system describes it now; `stats` are of the file itself, not of what a link names. */
export function planEntry(path: string, source: Buffer, stats: BigIntStats): PlanEntry {
  return {
    path,
    source,
    size: Number(stats.size),
    modifiedNs: stats.mtimeNs,
    changedNs: stats.ctimeNs,
    bornNs: stats.birthtimeNs,
    inode: stats.ino,
    mode: Number(stats.mode),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
  };
}

/** An entry's time in its tar header: whole seconds, rounded down also before 1970. */
export function headerTime(entry: PlanEntry): number {
  return Math.floor(Number(entry.modifiedNs / 1_000_000n) / 1000);
}

/** The archive is produced in pieces that end at multiples of this; every part size is a multiple of it. */
export const PIECE_SIZE = 2 * 1024 * 1024;

const NS_PER_SECOND = 1_000_000_000n;
const FIXED = 64;
const INDEX_RECORD = 16;
const BUFFER_SIZE = 1024 * 1024;
/** Holds the longest record there can be: two paths of PATH_MAX bytes each, many times over. */
const READ_SIZE = 256 * 1024;
/** A piece of a large file needs one record; reads grow from here. */
const FIRST_READ_SIZE = 4 * 1024;

/** Writes a plan; entries must come in archive order. `topFolder` is the package name. */
export class PlanWriter {
  readonly #topFolder: string;
  readonly #records: number;
  readonly #index: number;
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_SIZE);
  readonly #view = new DataView(this.#buffer.buffer);
  #used = 0;
  #recordOffset = 0;
  #archiveOffset = 0;
  #nextPiece = 0;

  constructor(folder: string, topFolder: string) {
    this.#topFolder = topFolder;
    this.#records = openSync(`${folder}/plan.records`, "wx");
    this.#index = openSync(`${folder}/plan.index`, "wx");
  }

  /** Where the next entry begins in the archive, bytes. */
  get archiveOffset(): number {
    return this.#archiveOffset;
  }

  add(entry: PlanEntry): void {
    const pathLength = Buffer.byteLength(entry.path);
    const length = FIXED + pathLength + entry.source.length;
    const headerOffset = this.#archiveOffset;
    const end =
      headerOffset + headerSize(`${this.#topFolder}/${entry.path}`, entry.size) + padded(entry.size);
    this.#indexPieces(headerOffset, end);
    if (this.#used + length > BUFFER_SIZE) this.flush();
    const view = this.#view;
    const at = this.#used;
    view.setUint32(at, length, true);
    view.setUint32(at + 4, pathLength, true);
    view.setFloat64(at + 8, entry.size, true);
    writeTime(view, at, entry.modifiedNs);
    view.setBigInt64(at + 24, entry.changedNs, true);
    view.setBigInt64(at + 32, entry.bornNs, true);
    view.setBigUint64(at + 40, entry.inode, true);
    view.setUint32(at + 48, entry.mode, true);
    view.setUint32(at + 52, entry.uid, true);
    view.setUint32(at + 56, entry.gid, true);
    this.#buffer.write(entry.path, at + FIXED);
    this.#buffer.set(entry.source, at + FIXED + pathLength);
    this.#used += length;
    this.#recordOffset += length;
    this.#archiveOffset = end;
  }

  /** Each piece that begins inside this entry begins with it. */
  #indexPieces(headerOffset: number, end: number): void {
    const last = Math.ceil(end / PIECE_SIZE);
    if (last <= this.#nextPiece) return;
    const records = Buffer.allocUnsafe((last - this.#nextPiece) * INDEX_RECORD);
    for (let i = 0; i < last - this.#nextPiece; i++) {
      records.writeDoubleLE(this.#recordOffset, i * INDEX_RECORD);
      records.writeDoubleLE(headerOffset, i * INDEX_RECORD + 8);
    }
    writeFullySync(this.#index, records);
    this.#nextPiece = last;
  }

  flush(): void {
    writeFullySync(this.#records, this.#buffer.subarray(0, this.#used));
    this.#used = 0;
  }

  /** Ends the plan. It survives power loss only once the caller has synced its files. */
  close(): void {
    this.flush();
    closeSync(this.#records);
    closeSync(this.#index);
  }
}

/** File systems know times that nanoseconds in 64 bits do not hold (from year 2262 on): these are kept as seconds, and the fraction plus one. */
function writeTime(view: DataView, at: number, nanoseconds: bigint): void {
  const fits = BigInt.asIntN(64, nanoseconds) === nanoseconds;
  const fraction = fits ? 0n : ((nanoseconds % NS_PER_SECOND) + NS_PER_SECOND) % NS_PER_SECOND;
  view.setBigInt64(at + 16, fits ? nanoseconds : (nanoseconds - fraction) / NS_PER_SECOND, true);
  view.setUint32(at + 60, fits ? 0 : Number(fraction) + 1, true);
}

function readTime(view: DataView, at: number): bigint {
  const value = view.getBigInt64(at + 16, true);
  const fraction = view.getUint32(at + 60, true);
  return fraction === 0 ? value : value * NS_PER_SECOND + BigInt(fraction - 1);
}

/** Reads a plan in any place. Small synchronous reads; meant for worker threads and for one range at a time. */
export class PlanReader {
  readonly #folder: string;
  readonly #topFolder: string;
  readonly #records: number;
  readonly #index: number;

  constructor(folder: string, topFolder: string) {
    this.#folder = folder;
    this.#topFolder = topFolder;
    this.#records = openSync(`${folder}/plan.records`, "r");
    this.#index = openSync(`${folder}/plan.index`, "r");
  }

  /** All entries in archive order. */
  *all(): Generator<PlacedEntry> {
    yield* this.#from(0, 0);
  }

  /** Entries of which at least one byte (header, content or padding) lies in [start, end). */
  *within(start: number, end: number): Generator<PlacedEntry> {
    const where = Buffer.alloc(INDEX_RECORD);
    const piece = Math.floor(start / PIECE_SIZE);
    if (readSync(this.#index, where, 0, INDEX_RECORD, piece * INDEX_RECORD) < INDEX_RECORD) return;
    for (const entry of this.#from(where.readDoubleLE(0), where.readDoubleLE(8))) {
      if (entry.end > start) yield entry;
      // Never asks for more: what comes after may not be written yet.
      if (entry.end >= end) return;
    }
  }

  *#from(recordOffset: number, archiveOffset: number): Generator<PlacedEntry> {
    let fileOffset = recordOffset;
    let headerOffset = archiveOffset;
    for (let size = FIRST_READ_SIZE; ; size = Math.min(size * 4, READ_SIZE)) {
      // A new one each time: entries keep their source in it.
      const buffer = Buffer.allocUnsafeSlow(size);
      const view = new DataView(buffer.buffer);
      const filled = readSync(this.#records, buffer, 0, size, fileOffset);
      let at = 0;
      while (filled - at >= FIXED) {
        const length = view.getUint32(at, true);
        if (length > filled - at) break;
        const entry = this.#decode(buffer, view, at, length, headerOffset);
        at += length;
        headerOffset = entry.end;
        yield entry;
      }
      if (at === 0 && (filled < size || size === READ_SIZE)) return;
      fileOffset += at;
    }
  }

  #decode(from: Buffer, view: DataView, at: number, length: number, headerOffset: number): PlacedEntry {
    const pathLength = view.getUint32(at + 4, true);
    const path = from.toString("utf8", at + FIXED, at + FIXED + pathLength);
    const size = view.getFloat64(at + 8, true);
    const contentOffset = headerOffset + headerSize(`${this.#topFolder}/${path}`, size);
    const source = from.subarray(at + FIXED + pathLength, at + length);
    return {
      path,
      source: source.length === 0 ? Buffer.from(`${this.#folder}/${path}`) : source,
      size,
      modifiedNs: readTime(view, at),
      changedNs: view.getBigInt64(at + 24, true),
      bornNs: view.getBigInt64(at + 32, true),
      inode: view.getBigUint64(at + 40, true),
      mode: view.getUint32(at + 48, true),
      uid: view.getUint32(at + 52, true),
      gid: view.getUint32(at + 56, true),
      headerOffset,
      contentOffset,
      end: contentOffset + padded(size),
    };
  }

  close(): void {
    closeSync(this.#records);
    closeSync(this.#index);
  }
}
