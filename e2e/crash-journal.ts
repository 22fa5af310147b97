import type { Database } from "better-sqlite3";

/**
 * What the journal says a process is doing, as "build hashing" or "push sealing": by the process id that it wrote down itself. A pull fetches the
 * archive as a transfer of its own (a row without a folder): while that is under way it is what counts, as "fetch receiving".
 */
const UNDER_WAY = `
  SELECT what || ' ' || state FROM (
    SELECT 'build' AS what, state FROM builds WHERE json_extract(holder, '$.pid') = :pid
    UNION ALL
    SELECT iif(direction = 'pull' AND folder IS NULL, 'fetch', direction), state FROM transfers
    WHERE json_extract(lease_holder, '$.pid') = :pid)
  ORDER BY what = 'fetch' DESC`;

/** Answers, at any time, with the state that a process has in the ledger; null when the ledger knows nothing of it. */
export function stateReader(ledger: Database, pid: number): () => string | null {
  const statement = ledger.prepare<[{ pid: number }], string>(UNDER_WAY).pluck();
  return () => statement.get({ pid }) ?? null;
}
