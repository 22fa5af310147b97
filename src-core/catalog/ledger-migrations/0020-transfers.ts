import type { Migration } from "../database.ts";

/**
 * The transfer journal (src-core/transfer/journal.ts). `target` is the archive's key for a push, the file's path for a pull.
 * An upload's rows go with its object's row, so a part can never be counted for another upload than the one it was sent in.
 */
export const transfers: Migration = {
  number: 20,
  subject: "transfers",
  up(db) {
    db.exec(`
      CREATE TABLE transfers (
        id TEXT PRIMARY KEY,
        direction TEXT NOT NULL CHECK (direction IN ('push', 'pull')),
        vault TEXT NOT NULL,
        target TEXT NOT NULL,
        package_id TEXT NOT NULL,
        package_digest TEXT NOT NULL,
        state TEXT NOT NULL,
        cause TEXT,
        created INTEGER NOT NULL,
        updated INTEGER NOT NULL,
        lease_token TEXT,
        lease_holder TEXT,
        lease_beat INTEGER,
        UNIQUE (direction, vault, target)
      ) STRICT;
      CREATE TABLE transfer_objects (
        transfer TEXT NOT NULL REFERENCES transfers (id) ON DELETE CASCADE,
        key TEXT NOT NULL,
        upload_id TEXT NOT NULL,
        size INTEGER NOT NULL,
        part_size INTEGER NOT NULL,
        PRIMARY KEY (transfer, key)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE transfer_parts (
        transfer TEXT NOT NULL,
        key TEXT NOT NULL,
        number INTEGER NOT NULL,
        size INTEGER NOT NULL,
        tag TEXT NOT NULL,
        PRIMARY KEY (transfer, key, number),
        FOREIGN KEY (transfer, key) REFERENCES transfer_objects (transfer, key) ON DELETE CASCADE
      ) STRICT, WITHOUT ROWID;
    `);
  },
};
