import type { Finding } from "../../src-contract/findings.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import { openZip, type ZipEntry } from "../archive/zip-reader.ts";
import type { DigestResult } from "../digest/hash-pool.ts";
import { systemCode, throwIfCancelled } from "../failing.ts";
import { ArchiveListing, entryPath, type ListedBag } from "./archive-listing.ts";
import { digestStream } from "./gzip-source.ts";
import { type BagSource, type DigestWork, isReadAsText } from "./inventory.ts";
import { countProgress } from "./report-progress.ts";
import { bagFinding } from "./rules.ts";

/**
 * A bag in a zip. Its central directory is read twice, once to list and once to digest: entries as objects, a million of them, would not fit into
 * memory. Decompression runs in Node's thread pool.
 */
export async function openZipSource(archive: string, options: CallOptions): Promise<BagSource> {
  const findings: Finding[] = [];
  const zip = await openZip(archive);
  const texts = new Map<number, ZipEntry>();
  let bag: ListedBag;
  try {
    const listing = new ArchiveListing(archive, findings);
    const found = new Map<string, ZipEntry>();
    const progress = countProgress("index", "files", undefined, options);
    for await (const entry of zip.entries()) {
      throwIfCancelled(options.signal);
      const path = entryPath(archive, Buffer.from(entry.name), findings) ?? "";
      if (entry.kind === "folder") listing.addFolder(path);
      else {
        listing.addFile(path, entry.size, 0);
        if (isReadAsText(path.slice(path.indexOf("/") + 1))) found.set(path, entry);
        progress.add(1);
      }
    }
    for (const { at, length } of await zip.gaps()) {
      findings.push(bagFinding("ARCHIVE_TRAILING_DATA", { detail: `${length} bytes from byte ${at}` }));
    }
    progress.finish();
    bag = listing.finish();
    for (const [path, entry] of found) {
      const file = bag.find(path);
      if (file !== undefined) texts.set(file, entry);
    }
  } catch (error) {
    await zip.close();
    throw error;
  }

  async function* readText(file: number): AsyncGenerator<Uint8Array> {
    const entry = texts.get(file);
    if (entry !== undefined) yield* zip.content(entry);
  }

  async function digest(
    work: DigestWork,
    { signal, onBytes }: Parameters<BagSource["digest"]>[1],
  ): Promise<void> {
    const wanted = new Set(work.files);
    const again = await openZip(archive);
    try {
      for await (const entry of again.entries()) {
        throwIfCancelled(signal);
        const path = entry.kind === "file" ? entryPath(archive, Buffer.from(entry.name), []) : null;
        const file = path === null ? undefined : bag.find(path);
        if (file === undefined || !wanted.has(file)) continue;
        const onChunk = (bytes: number): void => {
          throwIfCancelled(signal);
          onBytes(bytes);
        };
        const result = await digestStream(again.content(entry), work.algorithms(file), onChunk).catch(
          asResult,
        );
        wanted.delete(file);
        work.onResult(file, result);
      }
    } finally {
      await again.close();
    }
    for (const file of wanted) work.onResult(file, { ok: false, code: "CHANGED" });
  }

  return {
    form: "zip",
    bagName: bag.bagName,
    inventory: bag.inventory,
    hasPayloadFolder: bag.hasPayloadFolder,
    findings,
    readText,
    digest,
    close: () => zip.close(),
  };
}

function asResult(error: unknown): DigestResult {
  if (systemCode(error) !== "DAMAGED") throw error;
  return { ok: false, code: "DAMAGED" };
}
