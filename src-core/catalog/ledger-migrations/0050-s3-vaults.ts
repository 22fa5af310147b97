import type { Migration } from "../database.ts";

/**
 * Vaults in S3 buckets beside those in folders. `settings`, `credentials` (where they come from, never a secret) and `health` are JSON;
 * src-core/vault/vault-rows.ts says of what form. A bucket that this device may only read can be without a marker.
 * SQLite cannot change a CHECK, so the table is made anew as sqlite.org/lang_altertable.html, section 7, says: engagements and
 * stored_packages refer to it by name and mean the new one.
 */
export const s3Vaults: Migration = {
  number: 50,
  subject: "s3 vaults",
  up: (db) => {
    db.exec(`
      CREATE TABLE new_vaults (
        name        TEXT PRIMARY KEY,
        kind        TEXT NOT NULL CHECK (kind IN ('folder', 's3')),
        location    TEXT NOT NULL,
        marker      TEXT CHECK (kind = 's3' OR marker IS NOT NULL),
        added       TEXT NOT NULL,
        settings    TEXT CHECK ((kind = 's3') = (settings IS NOT NULL)),
        credentials TEXT CHECK ((kind = 's3') = (credentials IS NOT NULL)),
        health      TEXT,
        probed      TEXT CHECK ((health IS NULL) = (probed IS NULL))
      ) STRICT;
      INSERT INTO new_vaults (name, kind, location, marker, added) SELECT name, kind, location, marker, added FROM vaults;
      DROP TABLE vaults;
      ALTER TABLE new_vaults RENAME TO vaults;
      CREATE UNIQUE INDEX s3_vaults_by_location ON vaults (location) WHERE kind = 's3';
    `);
  },
};
