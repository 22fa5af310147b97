import type { Database } from "better-sqlite3";

/**
 * What the journal says a process is doing, as "build hashing" or "push sealing": by the process id that it wrote down itself.
 * A transfer without a vault only keeps a second pull out of the same scratch folder; it has no states.
 */
const UNDER_WAY = `
  SELECT 'build ' || state FROM builds WHERE json_extract(holder, '$.pid') = :pid
  UNION ALL
  SELECT direction || ' ' || state FROM transfers WHERE json_extract(lease_holder, '$.pid') = :pid AND vault <> ''`;

/** Answers, at any time, with the state that a process has in the ledger; null when the ledger knows nothing of it. */
export function stateReader(ledger: Database, pid: number): () => string | null {
  const statement = ledger.prepare<[{ pid: number }], string>(UNDER_WAY).pluck();
  return () => statement.get({ pid }) ?? null;
}
