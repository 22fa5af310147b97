import type { Migration } from "../database.ts";

/**
 * What syncs saw in vaults; all of it can be seen again by another sync.
 * `vault_packages`: packages whose seal was seen and found sound, held here or not. `gone` is since when the vault does not hold one as it was
 * seen. `seal` and `manifest_size` are there for those whose manifest is kept in `manifest_chunks`, so that they can be browsed without the vault.
 * Chunks go by package digest: only bytes that were held against the seal are put there, so whoever puts them puts the same.
 */
export const vaultPackages: Migration = {
  number: 20,
  subject: "vault packages",
  up: (db) => {
    db.exec(`
      CREATE TABLE vault_packages (
        package_id     TEXT PRIMARY KEY,
        engagement     TEXT NOT NULL,
        vault          TEXT NOT NULL,
        package_digest TEXT NOT NULL,
        seal_version   TEXT NOT NULL,
        gone           TEXT,
        seal           BLOB,
        manifest_size  INTEGER CHECK ((manifest_size IS NULL) = (seal IS NULL))
      ) STRICT;
      CREATE INDEX vault_packages_by_place ON vault_packages (engagement, vault);
      CREATE TABLE vault_signatures (
        package_id TEXT NOT NULL REFERENCES vault_packages (package_id) ON DELETE CASCADE,
        name       TEXT NOT NULL,
        version    TEXT NOT NULL,
        bytes      BLOB NOT NULL,
        PRIMARY KEY (package_id, name)
      ) STRICT;
      CREATE TABLE manifest_chunks (
        package_digest TEXT NOT NULL,
        number         INTEGER NOT NULL,
        bytes          BLOB NOT NULL,
        PRIMARY KEY (package_digest, number)
      ) STRICT;
      CREATE TABLE vault_problems (
        id         INTEGER PRIMARY KEY,
        engagement TEXT NOT NULL,
        package_id TEXT NOT NULL,
        failure    TEXT NOT NULL
      ) STRICT;
      CREATE INDEX vault_problems_by_package ON vault_problems (engagement, package_id);
    `);
  },
};
