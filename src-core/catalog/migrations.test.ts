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
