import { basename } from "node:path";
import Database from "better-sqlite3";
import { asFailure, FailureError, fail, systemCode } from "../failing.ts";

export type Db = Database.Database;

/** One step of a database's schema. Numbers leave gaps of ten, so that branches do not collide. */
export interface Migration {
  readonly number: number;
  readonly subject: string;
  /**
   * Runs in a transaction and with foreign keys off, so that it may make a table anew to which others refer (sqlite.org/lang_altertable.html,
   * section 7); so nothing cascades either. When all are done, every reference must lead to a row, else nothing of it stays.
   */
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
    // Before anything else: to set the journal mode would already write to the file.
    refuseNewer(db, file, migrations);
    db.pragma("journal_mode = WAL");
    db.pragma(`synchronous = ${durable ? "FULL" : "NORMAL"}`);
    // Only between transactions does SQLite heed this (sqlite.org/pragma.html#pragma_foreign_keys).
    db.pragma("foreign_keys = OFF");
    migrate(db, file, migrations);
    db.pragma("foreign_keys = ON");
    return db;
  } catch (error) {
    db?.close();
    throw databaseFailure(error, file);
  }
}

const schemaOf = (db: Db) => db.pragma("user_version", { simple: true }) as number;
const newestOf = (migrations: readonly Migration[]) => migrations.at(-1)?.number ?? 0;

/**
 * Commits work without waiting for the disk, for what may be lost in a power cut (never in a crash of the process): in WAL mode the order of
 * commits is kept, so nothing that was committed before or after is at risk (sqlite.org/pragma.html, "synchronous").
 */
export function withoutSync<T>(db: Db, work: () => T): T {
  const before = db.pragma("synchronous", { simple: true }) as number;
  db.pragma("synchronous = NORMAL");
  try {
    return work();
  } finally {
    db.pragma(`synchronous = ${before}`);
  }
}

function refuseNewer(db: Db, file: string, migrations: readonly Migration[]): void {
  const [found, newest] = [schemaOf(db), newestOf(migrations)];
  if (found <= newest) return;
  throw fail(
    "DATABASE_NEWER",
    `${file} was written by a newer version of Strongroom (schema ${found}; this version knows up to ${newest}).`,
    "Install the newer version. Nothing was changed.",
    { subject: file, details: { found, newest } },
  );
}

function migrate(db: Db, file: string, migrations: readonly Migration[]): void {
  if (schemaOf(db) === newestOf(migrations)) return;
  db.transaction(() => {
    refuseNewer(db, file, migrations);
    const found = schemaOf(db);
    for (const migration of migrations) {
      if (migration.number <= found) continue;
      migration.up(db);
      db.pragma(`user_version = ${migration.number}`);
    }
    refuseLooseReferences(db, file);
  }).immediate();
}

function refuseLooseReferences(db: Db, file: string): void {
  const loose = db.pragma("foreign_key_check") as readonly {
    readonly table: string;
    readonly parent: string;
  }[];
  if (loose.length === 0) return;
  const tables = [...new Set(loose.map(({ table, parent }) => `${table} to ${parent}`))];
  throw fail(
    "DATABASE_DAMAGED",
    `${file} cannot be brought to this version's form: references lead to no row (${tables.join(", ")}). It was left as it is.`,
    WHEN_DAMAGED[basename(file)] ?? "Restore the file from a backup.",
    { subject: file, details: { references: loose.length, tables } },
  );
}

/** Turns what SQLite says about `file` into a Failure; other errors pass through unchanged. */
export function databaseFailure(error: unknown, file: string): unknown {
  if (error instanceof FailureError) return error;
  if (!systemCode(error)?.startsWith("SQLITE_")) return error;
  const failure = asFailure(error, file);
  const nextStep = WHEN_DAMAGED[basename(file)];
  if (failure.failure.code !== "DATABASE_DAMAGED" || nextStep === undefined) return failure;
  return new FailureError({ ...failure.failure, nextStep }, error);
}

const WHEN_DAMAGED: Readonly<Record<string, string>> = {
  "catalog.db":
    "Move catalog.db away, with catalog.db-wal and catalog.db-shm if they are there; it is made anew from the packages.",
  "ledger.db":
    "Move ledger.db away, with ledger.db-wal and ledger.db-shm if they are there; then restore a backup: strongroom restore --from DIR.",
};
