import type { Db, Migration } from "../database.ts";

/**
 * The transfers table becomes the queue (src-core/transfer/queue-rows.ts). A row with a `folder` is a pull that can be run again by any
 * process, as `form`; a pull without one is the fetching inside other work and no entry of the queue. `wish` is what was asked of the process
 * that holds the lease. `workers` lists the processes that do queued work; `settings` holds JSON by name.
 */
export const transferQueue: Migration = {
  number: 60,
  subject: "transfer queue",
  up: (db) => {
    db.exec(`
      ALTER TABLE transfers ADD COLUMN engagement TEXT NOT NULL DEFAULT '';
      ALTER TABLE transfers ADD COLUMN package_name TEXT NOT NULL DEFAULT '';
      ALTER TABLE transfers ADD COLUMN folder TEXT;
      ALTER TABLE transfers ADD COLUMN form TEXT CHECK (form IN ('bag', 'tar'));
      ALTER TABLE transfers ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE transfers ADD COLUMN paused INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1));
      ALTER TABLE transfers ADD COLUMN wish TEXT CHECK (wish IN ('pause', 'cancel'));
      ALTER TABLE transfers ADD COLUMN bytes_done INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE transfers ADD COLUMN bytes_total INTEGER;
      ALTER TABLE transfers ADD COLUMN parts_total INTEGER;
      ALTER TABLE transfers ADD COLUMN retry_at INTEGER;
      CREATE INDEX transfers_by_package ON transfers (package_id);
      CREATE INDEX transfers_unfinished ON transfers (priority DESC, created)
        WHERE state NOT IN ('stored', 'received', 'cancelled');
      CREATE TABLE workers (
        id      TEXT PRIMARY KEY,
        kind    TEXT NOT NULL,
        holder  TEXT NOT NULL,
        beat    INTEGER NOT NULL,
        started INTEGER NOT NULL
      ) STRICT;
      CREATE TABLE settings (
        name  TEXT PRIMARY KEY,
        value TEXT NOT NULL
      ) STRICT;
    `);
    describePushes(db);
  },
};

/** A push's key tells its engagement and name (src-core/vault/vault-keys.ts); its upload, where there is one, its size and parts. */
function describePushes(db: Db): void {
  const describe = db.prepare(
    "UPDATE transfers SET engagement = ?, package_name = ?, bytes_total = ?, parts_total = ? WHERE id = ?",
  );
  const rows = db
    .prepare<[], { id: string; target: string; size: number | null; parts: number | null }>(
      `SELECT id, target, size, (size + part_size - 1) / part_size AS parts
       FROM transfers LEFT JOIN transfer_objects ON transfer = id AND key = target WHERE direction = 'push'`,
    )
    .all();
  for (const { id, target, size, parts } of rows) {
    const [, engagement, , , archive] = target.split("/");
    describe.run(engagement ?? "", (archive ?? "").replace(/\.tar$/, ""), size, parts, id);
  }
}
