import type { Migration } from "../database.ts";

/**
 * Which object a package's archive in a vault was when its bytes were last known to be the sealed ones, so that a later look at it needs one
 * request and no record of others. `how` says how they were known: by the check when it was stored, or because this device read all of them.
 */
export const seenArchives: Migration = {
  number: 70,
  subject: "seen archives",
  up: (db) => {
    db.exec(`
      CREATE TABLE seen_archives (
        package_id     TEXT NOT NULL,
        vault          TEXT NOT NULL REFERENCES vaults (name),
        package_digest TEXT NOT NULL,
        size           INTEGER NOT NULL,
        version        TEXT NOT NULL,
        version_id     TEXT,
        how            TEXT NOT NULL CHECK (how IN ('stored', 'read')),
        seen_by        TEXT NOT NULL,
        time           TEXT NOT NULL,
        PRIMARY KEY (package_id, vault)
      ) STRICT, WITHOUT ROWID;
    `);
  },
};
