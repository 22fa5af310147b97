import { setImmediate } from "node:timers/promises";
import type { FileRecord } from "../../src-contract/manifest.ts";
import type { CancelSignal } from "../../src-contract/progress.ts";
import { throwIfCancelled } from "../failing.ts";
import { readManifest } from "../package/manifest-reader.ts";
import type { RangeSource } from "../ports.ts";
import type { Db } from "./database.ts";

/** Rows per transaction: other processes get their turn in between. */
const FILES_PER_COMMIT = 20_000;
/** Paths that a search looks at in one go: some hundredths of a second. */
const PATHS_PER_STEP = 10_000;

/**
 * Puts a manifest's files into the catalog unless they are there. Files are indexed when first asked for, not when a package is
 * sealed: the catalog can be rebuilt at any time, so sealing need not wait for it.
 */
export async function indexFiles(
  catalog: Db,
  packageId: string,
  manifestSource: string | RangeSource,
  onFiles: (files: number) => void,
  signal?: CancelSignal,
): Promise<void> {
  if (isIndexed(catalog, packageId)) return;
  const insert = catalog.prepare(
    "INSERT OR REPLACE INTO files (package_id, ordinal, path, record) VALUES (?, ?, ?, ?)",
  );
  const insertAll = catalog.transaction((records: readonly FileRecord[], first: number) => {
    for (const [i, record] of records.entries())
      insert.run(packageId, first + i, record.path, JSON.stringify(record));
  });
  let ordinal = 0;
  let pending: FileRecord[] = [];
  const commit = () => {
    insertAll.immediate(pending, ordinal);
    ordinal += pending.length;
    pending = [];
    onFiles(ordinal);
  };
  const manifest = await readManifest(manifestSource, { signal });
  for await (const batch of manifest.batches()) {
    if (batch.list !== "files") continue;
    pending.push(...batch.entries);
    if (pending.length >= FILES_PER_COMMIT) commit();
  }
  commit();
  catalog.prepare("UPDATE packages SET indexed = 1 WHERE id = ?").run(packageId);
}

export function isIndexed(catalog: Db, packageId: string): boolean {
  const state = catalog.prepare<[string], { indexed: number }>("SELECT indexed FROM packages WHERE id = ?");
  return state.get(packageId)?.indexed !== 0;
}

interface FilePage {
  readonly total: number;
  readonly files: readonly FileRecord[];
}

/** One page of a package's files in archive order; `search` is part of a path, compared without regard to case. */
export async function pageOfFiles(
  catalog: Db,
  packageId: string,
  query: { readonly search?: string | undefined; readonly offset: number; readonly limit: number },
  signal?: CancelSignal,
): Promise<FilePage> {
  const { search, offset, limit } = query;
  if (search !== undefined && search !== "")
    return pageOfFound(catalog, packageId, { search, offset, limit }, signal);
  const last = catalog
    .prepare<[string], number | null>("SELECT max(ordinal) FROM files WHERE package_id = ?")
    .pluck()
    .get(packageId);
  const rows = catalog
    .prepare<[string, number, number], string>(
      "SELECT record FROM files WHERE package_id = ? AND ordinal >= ? ORDER BY ordinal LIMIT ?",
    )
    .pluck()
    .all(packageId, offset, limit);
  return { total: (last ?? -1) + 1, files: rows.map((record) => JSON.parse(record) as FileRecord) };
}

/** One pass over all paths, in steps between which others get their turn. */
async function pageOfFound(
  catalog: Db,
  packageId: string,
  { search, offset, limit }: { readonly search: string; readonly offset: number; readonly limit: number },
  signal: CancelSignal | undefined,
): Promise<FilePage> {
  const wanted = fold(search);
  const step = catalog
    .prepare<[string, number, number], string>(
      "SELECT path FROM files WHERE package_id = ? AND ordinal >= ? ORDER BY ordinal LIMIT ?",
    )
    .pluck();
  const found: number[] = [];
  let total = 0;
  for (let first = 0; ; first += PATHS_PER_STEP) {
    const paths = step.all(packageId, first, PATHS_PER_STEP);
    if (paths.length === 0) break;
    for (const [i, path] of paths.entries()) {
      if (!fold(path).includes(wanted)) continue;
      if (total >= offset && found.length < limit) found.push(first + i);
      total++;
    }
    await setImmediate();
    throwIfCancelled(signal);
  }
  const record = catalog
    .prepare<[string, number], string>("SELECT record FROM files WHERE package_id = ? AND ordinal = ?")
    .pluck();
  const files = found.map((ordinal) => JSON.parse(record.get(packageId, ordinal) ?? "") as FileRecord);
  return { total, files };
}

const ASCII = /^[\x20-\x7e]*$/;

/** What is one name to a reader, however it is written. */
function fold(text: string): string {
  return (ASCII.test(text) ? text : text.normalize("NFC")).toLowerCase();
}
