import type { Migration } from "../database.ts";

/** Packages on this device and their files; all of it can be read again from packages/. */
export const packages: Migration = {
  number: 10,
  subject: "packages",
  up: (db) => {
    db.exec(`
      CREATE TABLE packages (
        id              TEXT PRIMARY KEY,
        engagement      TEXT NOT NULL,
        name            TEXT NOT NULL,
        title           TEXT,
        phase           TEXT,
        retention_class TEXT,
        holding         TEXT NOT NULL CHECK (holding IN ('held', 'reference', 'remote')),
        files           INTEGER NOT NULL,
        payload_size    INTEGER NOT NULL,
        archive_size    INTEGER NOT NULL,
        sealed          TEXT NOT NULL,
        package_digest  TEXT NOT NULL,
        indexed         INTEGER NOT NULL DEFAULT 0 CHECK (indexed IN (0, 1))
      ) STRICT;
      CREATE INDEX packages_by_engagement ON packages (engagement, id);
      CREATE TABLE files (
        package_id TEXT NOT NULL REFERENCES packages (id) ON DELETE CASCADE,
        ordinal    INTEGER NOT NULL,
        path       TEXT NOT NULL,
        record     TEXT NOT NULL,
        PRIMARY KEY (package_id, ordinal)
      ) STRICT, WITHOUT ROWID;
    `);
  },
};
