import type { FileRecord } from "../../src-contract/manifest.ts";
import { readManifest } from "../package/manifest-reader.ts";
import type { RangeSource } from "../ports.ts";
import type { Db } from "./database.ts";

/** Rows per transaction: other processes get their turn in between. */
const FILES_PER_COMMIT = 20_000;

/**
 * Puts a manifest's files into the catalog unless they are there. Files are indexed when first asked for, not when a package is
 * sealed: the catalog can be rebuilt at any time, so sealing need not wait for it.
 */
export async function indexFiles(
  catalog: Db,
  packageId: string,
  manifestSource: string | RangeSource,
  onFiles: (files: number) => void,
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
  const manifest = await readManifest(manifestSource);
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

/** One page of a package's files in archive order; `search` is part of a path, compared without regard to case. */
export function pageOfFiles(
  catalog: Db,
  packageId: string,
  query: { readonly search?: string | undefined; readonly offset: number; readonly limit: number },
): { readonly total: number; readonly files: readonly FileRecord[] } {
  const search = query.search === undefined || query.search === "" ? null : fold(query.search);
  catalog.function("fold", { deterministic: true }, (path: unknown) => fold(String(path)));
  const where = search === null ? "package_id = ?" : "package_id = ? AND instr(fold(path), ?) > 0";
  const values = search === null ? [packageId] : [packageId, search];
  const total = catalog
    .prepare<unknown[], { n: number }>(`SELECT count(*) AS n FROM files WHERE ${where}`)
    .get(...values);
  const rows = catalog
    .prepare<unknown[], { record: string }>(
      `SELECT record FROM files WHERE ${where} ORDER BY ordinal LIMIT ? OFFSET ?`,
    )
    .all(...values, query.limit, query.offset);
  return { total: total?.n ?? 0, files: rows.map((row) => JSON.parse(row.record) as FileRecord) };
}

/** SQLite folds ASCII only. */
function fold(text: string): string {
  return text.normalize("NFC").toLowerCase();
}
