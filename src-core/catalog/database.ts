import Database from "better-sqlite3";
import { FailureError, fail, systemCode } from "../failing.ts";

export type Db = Database.Database;

/** One step of a database's schema. Numbers leave gaps of ten, so that branches do not collide. */
export interface Migration {
  readonly number: number;
  readonly subject: string;
  readonly up: (db: Db) => void;
}

/** Another process may hold the write lock for a whole migration or batch; SQLite waits this long, in milliseconds. */
const BUSY_TIMEOUT_MS = 15_000;

/**
 * Opens a database file in WAL mode and brings it to the newest schema. Each migration and its number are committed together,
 * so a crash leaves the old or the new state; two processes that open at once migrate once.
 * Refuses a file from a newer program (DATABASE_NEWER) and a file that is not a sound database (DATABASE_DAMAGED): it is left as it is.
 * `durable` sets synchronous=FULL, so that a commit survives power loss; else NORMAL.
 */
export function openDatabase(file: string, migrations: readonly Migration[], durable: boolean): Db {
  let db: Db | undefined;
  try {
    db = new Database(file, { timeout: BUSY_TIMEOUT_MS });
    db.pragma("journal_mode = WAL");
    db.pragma(`synchronous = ${durable ? "FULL" : "NORMAL"}`);
    db.pragma("foreign_keys = ON");
    migrate(db, file, migrations);
    return db;
  } catch (error) {
    db?.close();
    throw databaseFailure(error, file);
  }
}

function migrate(db: Db, file: string, migrations: readonly Migration[]): void {
  const newest = migrations.at(-1)?.number ?? 0;
  const version = () => db.pragma("user_version", { simple: true }) as number;
  if (version() === newest) return;
  db.transaction(() => {
    const found = version();
    if (found > newest) {
      throw fail(
        "DATABASE_NEWER",
        `${file} was written by a newer version of Strongroom (schema ${found}; this version knows up to ${newest}).`,
        "Install the newer version. Nothing was changed.",
        { subject: file, details: { found, newest } },
      );
    }
    for (const migration of migrations) {
      if (migration.number <= found) continue;
      migration.up(db);
      db.pragma(`user_version = ${migration.number}`);
    }
  }).immediate();
}

/** Turns what SQLite says about `file` into a Failure; other errors pass through unchanged. */
export function databaseFailure(error: unknown, file: string): unknown {
  if (error instanceof FailureError) return error;
  const code = systemCode(error) ?? "";
  const more = { subject: file, cause: error };
  if (code.startsWith("SQLITE_BUSY")) {
    return fail(
      "DATABASE_BUSY",
      `${file} is held by another process.`,
      "Wait for it to end, then run the command again.",
      more,
    );
  }
  if (code.startsWith("SQLITE_FULL")) {
    return fail(
      "DISK_FULL",
      `${file} cannot be written: the disk is full.`,
      "Free some space and run the command again.",
      more,
    );
  }
  if (code.startsWith("SQLITE_READONLY") || code.startsWith("SQLITE_CANTOPEN")) {
    return fail(
      "HOME_UNUSABLE",
      `${file} cannot be opened for writing.`,
      "Make the folder writable, or set STRONGROOM_HOME to another one.",
      more,
    );
  }
  if (code.startsWith("SQLITE_NOTADB") || code.startsWith("SQLITE_CORRUPT")) {
    return fail(
      "DATABASE_DAMAGED",
      `${file} is not a sound database. It was left as it is.`,
      file.endsWith("catalog.db")
        ? "Move the file away: the catalog is rebuilt from the packages."
        : "Move the file away and restore it from a backup (strongroom restore).",
      more,
    );
  }
  if (code.startsWith("SQLITE_IOERR")) {
    return fail(
      "IO_ERROR",
      `${file} cannot be read or written: the disk reported a fault (${code}).`,
      "Check the disk, then try again.",
      more,
    );
  }
  return error;
}
