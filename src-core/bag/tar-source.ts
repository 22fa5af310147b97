import type { Finding } from "../../src-contract/findings.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import { openFileCursor } from "../archive/byte-cursor.ts";
import { readTar, type TarEnd } from "../archive/tar-reader.ts";
import { createHashPool } from "../digest/hash-pool.ts";
import { ArchiveListing, entryPath } from "./archive-listing.ts";
import { digestInPool } from "./digest-in-pool.ts";
import type { BagSource } from "./inventory.ts";
import { countProgress } from "./report-progress.ts";
import { bagFinding } from "./rules.ts";

export function endFindings({ short, trailing }: TarEnd, findings: Finding[]): void {
  if (trailing) findings.push(bagFinding("ARCHIVE_TRAILING_DATA"));
  else if (short) findings.push(bagFinding("ARCHIVE_END_SHORT"));
}

/** A bag in a plain tar: headers are read once, contents are skipped and later digested in place by the hash pool. */
export async function openTarSource(archive: string, options: CallOptions): Promise<BagSource> {
  const findings: Finding[] = [];
  const listing = new ArchiveListing(archive, findings);
  const progress = countProgress("index", "files", undefined, options);
  const cursor = await openFileCursor(archive, options.signal);
  try {
    for await (const entry of readTar(archive, cursor, (end) => endFindings(end, findings))) {
      const path = entryPath(archive, entry.name, findings);
      if (path === null) continue;
      if (entry.kind === "folder") listing.addFolder(path);
      else {
        listing.addFile(path, entry.size, entry.offset);
        progress.add(1);
      }
    }
  } finally {
    await cursor.close();
  }
  progress.finish();
  const bag = listing.finish();
  const { inventory } = bag;
  const pool = createHashPool();

  async function* readText(file: number): AsyncGenerator<Uint8Array> {
    const text = await openFileCursor(archive, options.signal);
    try {
      await text.skip(inventory.place(file));
      yield* text.chunks(inventory.size(file));
    } finally {
      await text.close();
    }
  }

  return {
    form: "tar",
    bagName: bag.bagName,
    inventory,
    hasPayloadFolder: bag.hasPayloadFolder,
    findings,
    readText,
    digest: (work, digestOptions) =>
      digestInPool(
        pool,
        inventory,
        work,
        (file) => ({ path: archive, offset: inventory.place(file), length: inventory.size(file) }),
        digestOptions,
      ),
    close: () => pool.close(),
  };
}
