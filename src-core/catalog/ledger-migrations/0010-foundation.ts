import type { Migration } from "../database.ts";

/** Vaults and engagements of this device, builds under way, and the results of fixity checks. */
export const foundation: Migration = {
  number: 10,
  subject: "foundation",
  up: (db) => {
    db.exec(`
      CREATE TABLE vaults (
        name     TEXT PRIMARY KEY,
        kind     TEXT NOT NULL CHECK (kind IN ('folder')),
        location TEXT NOT NULL,
        marker   TEXT NOT NULL,
        added    TEXT NOT NULL
      ) STRICT;
      CREATE TABLE engagements (
        id      TEXT PRIMARY KEY,
        name    TEXT NOT NULL,
        client  TEXT,
        vault   TEXT REFERENCES vaults (name),
        created TEXT NOT NULL
      ) STRICT;
      CREATE TABLE builds (
        package_id TEXT PRIMARY KEY,
        engagement TEXT NOT NULL REFERENCES engagements (id),
        origin     TEXT NOT NULL CHECK (origin IN ('package-sealed', 'package-imported')),
        state      TEXT NOT NULL CHECK (state IN ('preparing', 'walking', 'hashing', 'finishing', 'signing', 'publishing')),
        holder     TEXT NOT NULL,
        started    INTEGER NOT NULL
      ) STRICT;
      CREATE TABLE fixity_checks (
        id             INTEGER PRIMARY KEY,
        package_id     TEXT NOT NULL,
        package_digest TEXT NOT NULL,
        time           TEXT NOT NULL,
        verdict        TEXT NOT NULL,
        method         TEXT NOT NULL,
        target         TEXT NOT NULL,
        errors         INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX fixity_checks_by_package ON fixity_checks (package_id, id);
      CREATE TABLE stored_packages (
        package_id     TEXT NOT NULL,
        vault          TEXT NOT NULL REFERENCES vaults (name),
        package_digest TEXT NOT NULL,
        time           TEXT NOT NULL,
        method         TEXT NOT NULL,
        PRIMARY KEY (package_id, vault)
      ) STRICT, WITHOUT ROWID;
    `);
  },
};
