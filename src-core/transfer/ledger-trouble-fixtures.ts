import Database from "better-sqlite3";
import { vi } from "vitest";

/** For tests only: how often a fault is met at most, so that a worker that does not wait fails its test and does not hang it. */
const AT_MOST = 300;

/**
 * Every statement on a ledger that `matches` meets a fault of SQLite from now on, until the answered function is called: `SQLITE_FULL` as where the
 * disk is full.
 */
export function breakLedger(
  code: string,
  matches: RegExp,
  onFault: () => void = () => undefined,
): () => void {
  const prepare = Database.prototype.prepare;
  let met = 0;
  const spy = vi.spyOn(Database.prototype, "prepare").mockImplementation(function (
    this: Database.Database,
    sql: string,
  ) {
    if (this.name.endsWith("ledger.db") && matches.test(sql) && ++met <= AT_MOST) {
      onFault();
      throw Object.assign(new Error("a fault of the test"), { code });
    }
    return prepare.call(this, sql);
  });
  return () => spy.mockRestore();
}

/** Writing to the queue. */
export const QUEUE_WRITES = /^\s*(UPDATE|INSERT( OR REPLACE)? INTO|DELETE FROM) transfer/;
