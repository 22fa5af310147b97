/**
 * For tests only, loaded into the real program by NODE_OPTIONS=--import; the product knows nothing of it. Counts what the program's main
 * thread does to the ledger and to the file system as steps of the journal's state: step 0 is the moment right after the state was
 * committed. Writes the steps down (STRONGROOM_CRASH_TRACE), or ends the whole process with SIGKILL at one of them (STRONGROOM_CRASH_AT).
 */
import { appendFileSync } from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { isMainThread } from "node:worker_threads";
import Database from "better-sqlite3";
import { stateReader } from "./crash-journal.ts";

/** Before the journal knows of the work; once the journal has closed it, steps are counted as those of "closed". */
let state = "before";
let step = 0;

function arrive(): void {
  const here = `${state}:${step}`;
  const { STRONGROOM_CRASH_AT: at, STRONGROOM_CRASH_TRACE: trace } = process.env;
  if (trace !== undefined) appendFileSync(trace, `${here}\n`);
  if (at === here) process.kill(process.pid, "SIGKILL");
  step++;
}

const readers = new WeakMap<Database.Database, () => string | null>();
const { prepare, transaction } = Database.prototype;

/** Called after every commit. */
function committed(db: Database.Database): void {
  if (!db.name.endsWith("ledger.db")) {
    arrive();
    return;
  }
  let read = readers.get(db);
  if (read === undefined) {
    const tables = prepare.call(
      db,
      "SELECT count(*) FROM sqlite_schema WHERE name IN ('builds', 'transfers')",
    );
    if (tables.pluck().get() !== 2) return;
    read = stateReader(db, process.pid);
    readers.set(db, read);
  }
  const found = read() ?? (state === "before" ? "before" : "closed");
  if (found !== state) {
    state = found;
    step = 0;
  }
  arrive();
}

type Call = (...args: unknown[]) => unknown;

function afterwards(call: Call, then: () => void): Call {
  return function (this: unknown, ...args) {
    const result = call.apply(this, args);
    then();
    return result;
  };
}

function watchDatabases(): void {
  const commits = (db: Database.Database) => () => {
    if (!db.inTransaction) committed(db);
  };
  const watched = new WeakSet<object>();
  Reflect.set(Database.prototype, "prepare", function (this: Database.Database, sql: string) {
    const statement = prepare.call(this, sql);
    if (!statement.reader && !watched.has(statement)) {
      watched.add(statement);
      Reflect.set(statement, "run", afterwards(statement.run as Call, commits(this)));
    }
    return statement;
  });
  Reflect.set(Database.prototype, "transaction", function (this: Database.Database, work: Call) {
    const made = transaction.call(this, work);
    const variant = (call: unknown) => afterwards(call as Call, commits(this));
    return Object.assign(variant(made), {
      deferred: variant(made.deferred),
      immediate: variant(made.immediate),
      exclusive: variant(made.exclusive),
    });
  });
}

/** Every one of these that has ended is a step: what it did is on the disk, what follows is not. */
async function watchFiles(): Promise<void> {
  const after = (target: object, name: string) => {
    const call = Reflect.get(target, name) as (...args: unknown[]) => Promise<unknown>;
    Reflect.set(target, name, async function (this: unknown, ...args: unknown[]) {
      const result = await call.apply(this, args);
      arrive();
      return result;
    });
  };
  const probe = await promises.open("/dev/null", "r");
  const handles = Object.getPrototypeOf(probe) as object;
  await probe.close();
  for (const name of ["write", "writeFile", "sync", "datasync", "truncate"]) after(handles, name);
  for (const name of ["open", "rename", "link", "unlink", "rm", "rmdir", "mkdir", "mkdtemp", "copyFile"])
    after(promises, name);
  syncBuiltinESMExports();
}

if (isMainThread) {
  watchDatabases();
  await watchFiles();
}
