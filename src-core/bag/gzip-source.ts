import { createHash } from "node:crypto";
import type { Finding } from "../../src-contract/findings.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import { streamCursor } from "../archive/byte-cursor.ts";
import { gunzipFile } from "../archive/gzip-stream.ts";
import { readTar } from "../archive/tar-reader.ts";
import type { DigestAlgorithm, DigestResult } from "../digest/hash-pool.ts";
import { ArchiveListing, entryPath, type ListedBag, unsafeArchive } from "./archive-listing.ts";
import { type BagSource, type DigestWork, isReadAsText } from "./inventory.ts";
import { countProgress } from "./report-progress.ts";
import { bagFinding } from "./rules.ts";
import { endFindings } from "./tar-source.ts";

/** Manifests of a million files in three algorithms fit; they are held in memory between the two passes. */
const MAX_TEXT = 512 * 1024 * 1024;

/** Digests a stream in all algorithms at once. */
export async function digestStream(
  chunks: AsyncIterable<Uint8Array>,
  algorithms: readonly DigestAlgorithm[],
  onBytes: (bytes: number) => void,
): Promise<DigestResult> {
  const hashes = algorithms.map((algorithm) => [algorithm, createHash(algorithm)] as const);
  let size = 0;
  for await (const chunk of chunks) {
    for (const [, hash] of hashes) hash.update(chunk);
    size += chunk.length;
    onBytes(chunk.length);
  }
  return {
    ok: true,
    size,
    digests: Object.fromEntries(hashes.map(([name, hash]) => [name, hash.digest("hex")])),
  };
}

/**
 * A bag in a gzipped tar, read twice from front to end: first for the list of entries and the tag files that are parsed, then for the digests.
 * Decompression runs in Node's thread pool.
 */
export async function openGzipSource(
  archive: string,
  packedSize: number,
  options: CallOptions,
): Promise<BagSource> {
  const findings: Finding[] = [];
  const { bag, texts } = await index(archive, packedSize, findings, options);
  const { inventory } = bag;

  async function* readText(file: number): AsyncGenerator<Uint8Array> {
    const chunks = texts.get(file) ?? [];
    // Each chunk is let go once it is read: the parsed form takes its place in memory.
    texts.delete(file);
    for (let chunk = chunks.shift(); chunk !== undefined; chunk = chunks.shift()) yield chunk;
  }

  async function digest(
    work: DigestWork,
    { signal, onBytes }: Parameters<BagSource["digest"]>[1],
  ): Promise<void> {
    const wanted = new Set(work.files);
    const cursor = streamCursor(
      archive,
      gunzipFile(archive, packedSize, () => undefined, signal),
    );
    for await (const entry of readTar(archive, cursor, () => undefined)) {
      const path = entry.kind === "file" ? entryPath(archive, entry.name, []) : null;
      const file = path === null ? undefined : bag.find(path);
      if (file === undefined || !wanted.has(file)) continue;
      const result = await digestStream(cursor.chunks(entry.size), work.algorithms(file), onBytes);
      wanted.delete(file);
      work.onResult(file, result);
    }
    for (const file of wanted) work.onResult(file, { ok: false, code: "CHANGED" });
  }

  return {
    form: "tar.gz",
    bagName: bag.bagName,
    inventory,
    hasPayloadFolder: bag.hasPayloadFolder,
    findings,
    readText,
    digest,
    close: async () => texts.clear(),
  };
}

/** The first pass. */
async function index(
  archive: string,
  packedSize: number,
  findings: Finding[],
  options: CallOptions,
): Promise<{ bag: ListedBag; texts: Map<number, Uint8Array[]> }> {
  const listing = new ArchiveListing(archive, findings);
  const kept = new Map<string, Uint8Array[]>();
  const progress = countProgress("index", "files", undefined, options);
  let keptBytes = 0;
  let trailing = false;
  const onEnd = (more: boolean): void => {
    trailing = more;
  };
  const cursor = streamCursor(archive, gunzipFile(archive, packedSize, onEnd, options.signal));
  for await (const entry of readTar(archive, cursor, (end) => endFindings(end, findings))) {
    const path = entryPath(archive, entry.name, findings);
    if (path === null) continue;
    if (entry.kind === "folder") {
      listing.addFolder(path);
      continue;
    }
    listing.addFile(path, entry.size, entry.offset);
    progress.add(1);
    if (!isReadAsText(path.slice(path.indexOf("/") + 1))) continue;
    keptBytes += entry.size;
    if (keptBytes > MAX_TEXT) {
      throw unsafeArchive(archive, "holds manifests of more than 512 MiB; unpack it to verify it", path);
    }
    const chunks: Uint8Array[] = [];
    for await (const chunk of cursor.chunks(entry.size)) chunks.push(Buffer.from(chunk));
    kept.set(path, chunks);
  }
  if (trailing) findings.push(bagFinding("ARCHIVE_TRAILING_DATA"));
  progress.finish();
  const bag = listing.finish();
  const texts = new Map<number, Uint8Array[]>();
  for (const [path, chunks] of kept) {
    const file = bag.find(path);
    if (file !== undefined) texts.set(file, chunks);
  }
  return { bag, texts };
}
