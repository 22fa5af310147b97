import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FailureError } from "../failing.ts";
import { catalogMigrations } from "./catalog-migrations/index.ts";
import { type Db, type Migration, openDatabase } from "./database.ts";
import { ledgerMigrations } from "./ledger-migrations/index.ts";
import { findPackages, listPackages } from "./package-rows.ts";

let folder: string;
const open: Db[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "strongroom-db-"));
});
afterEach(() => {
  for (const db of open.splice(0)) db.close();
  rmSync(folder, { recursive: true });
});

function database(migrations: readonly Migration[], name = "test.db"): Db {
  const db = openDatabase(join(folder, name), migrations, false);
  open.push(db);
  return db;
}

describe.each([
  ["ledger", ledgerMigrations],
  ["catalog", catalogMigrations],
] as const)("the %s's migrations", (_, migrations) => {
  test("are in ascending order of number and leave gaps", () => {
    const numbers = migrations.map(({ number }) => number);
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
    expect(numbers.every((number) => number % 10 === 0)).toBe(true);
  });

  test("step by step and all at once lead to one schema", () => {
    const schema = (db: Db) =>
      db.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").all();
    for (let i = 1; i <= migrations.length; i++)
      openDatabase(join(folder, "steps.db"), migrations.slice(0, i), false).close();
    expect(schema(database(migrations, "steps.db"))).toEqual(schema(database(migrations, "once.db")));
  });

  test("a schema from the future is refused and the file left as it is", () => {
    openDatabase(
      join(folder, "test.db"),
      [...migrations, { number: 99_990, subject: "future", up: () => undefined }],
      false,
    ).close();
    expect(() => openDatabase(join(folder, "test.db"), migrations, false)).toThrow(FailureError);
  });
});

test("a migration that fails leaves the database at the one before, with its rows", () => {
  const first: Migration = {
    number: 10,
    subject: "first",
    up: (db) => db.exec("CREATE TABLE a (x); INSERT INTO a VALUES (1)"),
  };
  const broken: Migration = {
    number: 20,
    subject: "broken",
    up: (db) => {
      db.exec("CREATE TABLE b (x); DELETE FROM a");
      throw new Error("the migration has a fault");
    },
  };
  openDatabase(join(folder, "test.db"), [first], false).close();
  expect(() => openDatabase(join(folder, "test.db"), [first, broken], false)).toThrow(
    "the migration has a fault",
  );
  const db = database([first]);
  expect(db.prepare("SELECT x FROM a").pluck().all()).toEqual([1]);
  expect(db.prepare("SELECT count(*) FROM sqlite_schema WHERE name = 'b'").pluck().get()).toBe(0);
});

test("0040 build beat: a build under way keeps its row and counts as alive since it started", () => {
  const before = ledgerMigrations.filter(({ number }) => number < 40);
  const old = openDatabase(join(folder, "test.db"), before, true);
  old.exec(`INSERT INTO engagements (id, name, created) VALUES ('acme-2026', 'Acme', '2026-01-01T00:00:00Z');
    INSERT INTO builds (package_id, engagement, origin, state, holder, started) VALUES ('id', 'acme-2026', 'package-sealed', 'hashing', '{}', 1234)`);
  old.close();
  const db = database(ledgerMigrations);
  expect(db.prepare("SELECT package_id, state, started, beat FROM builds").all()).toEqual([
    { package_id: "id", state: "hashing", started: 1234, beat: 1234 },
  ]);
});

test("a migration that leaves a reference without its row is refused whole", () => {
  const first: Migration = {
    number: 10,
    subject: "first",
    up: (db) =>
      db.exec(
        "CREATE TABLE a (x PRIMARY KEY); CREATE TABLE b (x REFERENCES a (x)); INSERT INTO a VALUES (1); INSERT INTO b VALUES (1)",
      ),
  };
  const loosening: Migration = { number: 20, subject: "loosening", up: (db) => db.exec("DELETE FROM a") };
  openDatabase(join(folder, "test.db"), [first], false).close();
  expect(() => openDatabase(join(folder, "test.db"), [first, loosening], false)).toThrow(/b to a/);
  const db = database([first]);
  expect(db.prepare("SELECT x FROM a").pluck().all()).toEqual([1]);
  expect(() => db.exec("DELETE FROM a")).toThrow(/FOREIGN KEY/);
});

describe("0050 s3 vaults", () => {
  const file = () => join(folder, "ledger.db");
  const until50 = ledgerMigrations.filter(({ number }) => number <= 50);
  const TABLES = [
    "vaults",
    "engagements",
    "builds",
    "stored_packages",
    "transfers",
    "transfer_objects",
    "transfer_parts",
    "fixity_checks",
    "custody_events",
  ];
  const rowsOf = (db: Db) =>
    Object.fromEntries(TABLES.map((table) => [table, db.prepare(`SELECT * FROM ${table}`).all()]));

  /** A ledger of the version before, with rows in every table; answers with them. */
  function ledgerBefore(): ReturnType<typeof rowsOf> {
    const db = openDatabase(
      file(),
      ledgerMigrations.filter(({ number }) => number < 50),
      true,
    );
    const hash = "ab".repeat(32);
    db.exec(`
      INSERT INTO vaults VALUES ('office', 'folder', '/mnt/office', 'marker-1', '2026-01-01T00:00:00Z'), ('spare', 'folder', '/mnt/spare', 'marker-2', '2026-01-02T00:00:00Z');
      INSERT INTO engagements VALUES ('acme-2026', 'Acme', 'Acme Ltd', 'office', '2026-01-01T00:00:00Z'), ('bare', 'Bare', NULL, NULL, '2026-01-01T00:00:00Z');
      INSERT INTO builds VALUES ('id-2', 'acme-2026', 'package-sealed', 'hashing', '{}', 1234, 1234);
      INSERT INTO stored_packages VALUES ('id-1', 'office', '${hash}', '2026-01-01T00:00:00Z', 'read back'), ('id-1', 'spare', '${hash}', '2026-01-01T00:00:00Z', 'read back');
      INSERT INTO transfers VALUES ('t-1', 'push', 'office', 'key', 'id-2', '${hash}', 'sending', NULL, 1, 2, NULL, NULL, NULL);
      INSERT INTO transfer_objects VALUES ('t-1', 'key', 'upload', 10, 5);
      INSERT INTO transfer_parts VALUES ('t-1', 'key', 1, 5, 'tag');
      INSERT INTO fixity_checks VALUES (1, 'id-1', '${hash}', '2026-01-01T00:00:00Z', 'valid', 'sealed archive', 'x.tar', 0);
      INSERT INTO custody_events VALUES (1, '2026-01-01T00:00:00Z', 'package-sealed', 'id-1', 'acme-2026', '{}', '${"0".repeat(64)}', '${hash}');`);
    const rows = rowsOf(db);
    db.close();
    expect(Object.values(rows).every((found) => found.length > 0)).toBe(true);
    return rows;
  }

  function migrated(before: ReturnType<typeof rowsOf>): ReturnType<typeof rowsOf> {
    const unknown = { settings: null, credentials: null, health: null, probed: null };
    return { ...before, vaults: (before.vaults ?? []).map((row) => ({ ...Object(row), ...unknown })) };
  }

  test("keeps every row of every table, and the references hold from then on", () => {
    const before = ledgerBefore();
    const db = database(until50, "ledger.db");
    expect(rowsOf(db)).toEqual(migrated(before));
    expect(db.pragma("foreign_keys", { simple: true })).toBe(1);
    expect(db.pragma("integrity_check", { simple: true })).toBe("ok");
    expect(() => db.exec("DELETE FROM vaults WHERE name = 'office'")).toThrow(/FOREIGN KEY/);
    expect(() => db.exec("UPDATE engagements SET vault = 'none'")).toThrow(/FOREIGN KEY/);
  });

  test("takes an S3 vault, each place once, and nothing half described", () => {
    const db = database(until50, "ledger.db");
    const add = (name: string, kind: string, location: string, more: string) =>
      db.exec(
        `INSERT INTO vaults (name, kind, location, added, marker, settings, credentials) VALUES ('${name}', '${kind}', '${location}', 'now', ${more})`,
      );
    add("lake", "s3", "s3://lake", "NULL, '{}', '{}'");
    add("lake-2", "s3", "s3://lake/2", "'marker', '{}', '{}'");
    expect(() => add("again", "s3", "s3://lake", "NULL, '{}', '{}'")).toThrow(/UNIQUE/);
    expect(() => add("bare", "s3", "s3://bare", "NULL, NULL, '{}'")).toThrow(/CHECK/);
    expect(() => add("bare", "s3", "s3://bare", "NULL, '{}', NULL")).toThrow(/CHECK/);
    expect(() => add("bare", "folder", "/mnt/bare", "NULL, NULL, NULL")).toThrow(/CHECK/);
    expect(() => add("bare", "folder", "/mnt/bare", "'marker', '{}', NULL")).toThrow(/CHECK/);
  });

  /** Runs `script` as a process of its own that has the migrations at hand; answers with its signal and what it printed. */
  async function run(script: string): Promise<{ readonly signal: string | null; readonly out: string }> {
    const url = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
    const child = spawn(
      process.execPath,
      [
        ...["--disable-warning=ExperimentalWarning", "--input-type=module", "--eval"],
        `import { openDatabase } from ${url("./database.ts")};
         import { ledgerMigrations } from ${url("./ledger-migrations/index.ts")};
         const file = ${JSON.stringify(file())};
         const until50 = ledgerMigrations.filter(({ number }) => number <= 50);
         ${script}`,
      ],
      { stdio: ["ignore", "pipe", "inherit"], timeout: 30_000 },
    );
    let out = "";
    child.stdout.on("data", (text) => {
      out += text;
    });
    return new Promise((resolve) => child.on("close", (_code, signal) => resolve({ signal, out })));
  }

  test.each([
    [
      "after the old table went",
      "up: (db) => migration.up(new Proxy(db, { get: (_, name) => name === 'exec' ? (sql) => { db.exec(sql.slice(0, sql.indexOf('ALTER TABLE'))); die(); } : undefined }))",
    ],
    ["before the commit", "up: (db) => { migration.up(db); die(); }"],
  ])("a process killed %s leaves the ledger as it was; the next one migrates it", async (_, up) => {
    const before = ledgerBefore();
    const { signal } = await run(`
      const die = () => process.kill(process.pid, "SIGKILL");
      openDatabase(file, until50.map((migration) => (migration.number === 50 ? { ...migration, ${up} } : migration)), true);`);
    expect(signal).toBe("SIGKILL");
    const old = openDatabase(
      file(),
      ledgerMigrations.filter(({ number }) => number < 50),
      true,
    );
    expect(rowsOf(old)).toEqual(before);
    old.close();
    expect(rowsOf(database(until50, "ledger.db"))).toEqual(migrated(before));
  });

  test("processes that open the old ledger at once migrate it once", async () => {
    const before = ledgerBefore();
    // Each waits until all are up.
    const up = JSON.stringify(join(folder, "up-"));
    const numbers = [1, 2, 3, 4];
    const opened = numbers.map((number) =>
      run(`
        import { existsSync, writeFileSync } from "node:fs";
        writeFileSync(${up} + ${number}, "");
        while (![${numbers}].every((other) => existsSync(${up} + other))) await new Promise((resolve) => setTimeout(resolve, 1));
        const db = openDatabase(file, until50, true);
        console.log(db.pragma("foreign_keys", { simple: true }), db.prepare("SELECT count(*) FROM engagements JOIN vaults ON vault = vaults.name").pluck().get());
        db.close();`),
    );
    expect((await Promise.all(opened)).map(({ out }) => out)).toEqual(Array(4).fill("1 1\n"));
    expect(rowsOf(database(until50, "ledger.db"))).toEqual(migrated(before));
  });
});

describe("0060 transfer queue", () => {
  const file = () => join(folder, "ledger.db");

  function ledgerBefore(): void {
    const db = openDatabase(
      file(),
      ledgerMigrations.filter(({ number }) => number < 60),
      true,
    );
    const digest = "ab".repeat(32);
    const key = "engagements/acme-2026/packages/01938c7e-7b3a-7000-8000-000000000001/site-a.tar";
    const transfer = db.prepare(
      "INSERT INTO transfers (id, direction, vault, target, package_id, package_digest, state, cause, created, updated) VALUES (?, ?, ?, ?, 'p', ?, ?, ?, 1, 2)",
    );
    const cause = '{"code":"VAULT_UNREACHABLE","message":"It is away."}';
    transfer.run("sending", "push", "office", key, digest, "sending-archive", cause);
    transfer.run("stored", "push", "spare", key, digest, "stored", null);
    transfer.run("pulling", "pull", "", "/review/.strongroom-pull-p", digest, "queued", null);
    db.exec(`
      INSERT INTO transfer_objects VALUES ('sending', '${key}', 'upload', 10, 4);
      INSERT INTO transfer_parts VALUES ('sending', '${key}', 1, 4, 'tag');`);
    db.close();
  }

  test("a push tells its engagement, name and size; nothing is paused, and what was noted is kept", () => {
    ledgerBefore();
    const db = database(ledgerMigrations, "ledger.db");
    const told = db.prepare(
      "SELECT id, engagement, package_name, bytes_total, parts_total, state, cause IS NULL AS well, created, updated FROM transfers ORDER BY id",
    );
    const times = { created: 1, updated: 2 };
    const push = { engagement: "acme-2026", package_name: "site-a", ...times };
    expect(told.all()).toEqual([
      {
        ...{ id: "pulling", engagement: "", package_name: "", bytes_total: null, parts_total: null },
        ...{ state: "queued", well: 1, ...times },
      },
      { id: "sending", ...push, bytes_total: 10, parts_total: 3, state: "sending-archive", well: 0 },
      { id: "stored", ...push, bytes_total: null, parts_total: null, state: "stored", well: 1 },
    ]);
    expect(
      db
        .prepare(
          "SELECT DISTINCT priority, paused, wish, bytes_done, retry_at, folder, form, lease_token FROM transfers",
        )
        .all(),
    ).toEqual([
      {
        ...{ priority: 0, paused: 0, wish: null, bytes_done: 0 },
        ...{ retry_at: null, folder: null, form: null, lease_token: null },
      },
    ]);
    expect(db.prepare("SELECT number, size, tag FROM transfer_parts").all()).toEqual([
      { number: 1, size: 4, tag: "tag" },
    ]);
  });

  test("takes only wishes and forms that are known", () => {
    ledgerBefore();
    const db = database(ledgerMigrations, "ledger.db");
    expect(() => db.exec("UPDATE transfers SET wish = 'sleep'")).toThrow(/CHECK/);
    expect(() => db.exec("UPDATE transfers SET form = 'zip'")).toThrow(/CHECK/);
    expect(() => db.exec("UPDATE transfers SET paused = 2")).toThrow(/CHECK/);
  });
});

describe("the catalog finds by index", () => {
  const plan = (db: Db, sql: string, ...values: readonly string[]) =>
    db
      .prepare<unknown[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`)
      .all(...values)
      .map(({ detail }) => detail)
      .join("\n");

  /** Every statement that `work` prepares. */
  function statements(db: Db, work: (spy: Db) => void): string[] {
    const seen: string[] = [];
    const spy = new Proxy(db, {
      get: (target, name) =>
        name === "prepare"
          ? (sql: string) => {
              seen.push(sql);
              return target.prepare(sql);
            }
          : Reflect.get(target, name, target),
    });
    work(spy);
    return seen;
  }

  test("a package by the beginning of its id, and an engagement's packages in order", () => {
    const db = database(catalogMigrations);
    const [byPrefix] = statements(db, (spy) => findPackages(spy, "01a1", 3));
    expect(plan(db, byPrefix ?? "", "01a1", "01a1~", "3")).toMatch(
      /^SEARCH packages USING INDEX .* \(id>\? AND id<\?\)$/,
    );
    const [byEngagement] = statements(db, (spy) => listPackages(spy, "acme-2026"));
    expect(plan(db, byEngagement ?? "", "acme-2026")).toMatch(
      /^SEARCH packages USING INDEX packages_by_engagement \(engagement=\?\)$/,
    );
  });

  test("what the ledger asks of fixity checks and the custody log per package", () => {
    const db = database(ledgerMigrations);
    expect(
      plan(db, "SELECT * FROM fixity_checks WHERE package_id = ? ORDER BY id DESC LIMIT 100", "x"),
    ).toContain("fixity_checks_by_package");
    expect(
      plan(db, "SELECT count(*) FROM custody_events WHERE package_id = ? AND type = ?", "x", "y"),
    ).toContain("custody_events_by_package");
  });
});
