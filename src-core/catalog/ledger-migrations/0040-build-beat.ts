import type { Migration } from "../database.ts";

/**
 * When a build last said that it lives, milliseconds since 1970. Without it a build that took longer than a lease lasts was held to be
 * dead wherever the system does not tell when a process started, and its draft was removed under it.
 */
export const buildBeat: Migration = {
  number: 40,
  subject: "build beat",
  up: (db) => {
    db.exec(`
      ALTER TABLE builds ADD COLUMN beat INTEGER NOT NULL DEFAULT 0;
      UPDATE builds SET beat = started;
    `);
  },
};
