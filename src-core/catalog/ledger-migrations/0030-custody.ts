import type { Migration } from "../database.ts";

/**
 * The custody log. SQLite itself holds it append-only: rows are neither changed nor deleted, and a row is accepted only as the
 * successor of the newest one (which also refuses INSERT OR REPLACE, since that fires no DELETE trigger).
 * It refers to no other table: what it tells must outlive what it tells of.
 */
export const custody: Migration = {
  number: 30,
  subject: "custody log",
  up: (db) => {
    db.exec(`
      CREATE TABLE custody_events (
        seq        INTEGER PRIMARY KEY,
        time       TEXT NOT NULL,
        type       TEXT NOT NULL,
        package_id TEXT,
        engagement TEXT,
        details    TEXT NOT NULL,
        prev       TEXT NOT NULL,
        hash       TEXT NOT NULL UNIQUE
      ) STRICT;
      CREATE INDEX custody_events_by_package ON custody_events (package_id, seq);
      CREATE TRIGGER custody_events_no_update BEFORE UPDATE ON custody_events
        BEGIN SELECT RAISE(ABORT, 'the custody log is append-only'); END;
      CREATE TRIGGER custody_events_no_delete BEFORE DELETE ON custody_events
        BEGIN SELECT RAISE(ABORT, 'the custody log is append-only'); END;
      CREATE TRIGGER custody_events_in_order BEFORE INSERT ON custody_events
        WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM custody_events)
          OR NEW.prev IS NOT coalesce(
            (SELECT hash FROM custody_events ORDER BY seq DESC LIMIT 1),
            '0000000000000000000000000000000000000000000000000000000000000000')
        BEGIN SELECT RAISE(ABORT, 'the custody log is append-only'); END;
    `);
  },
};
