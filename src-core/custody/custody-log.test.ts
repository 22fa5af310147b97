import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Db, type Migration, openDatabase } from "../catalog/database.ts";
import { custody } from "../catalog/ledger-migrations/0030-custody.ts";
import { canonicalJson } from "../package/canonical-json.ts";
import { appendEvent, checkChain, eventsOf, type NewCustodyEvent } from "./custody-log.ts";

let folder: string;
let db: Db;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "strongroom-custody-"));
  db = openDatabase(join(folder, "ledger.db"), [custody], true);
});
afterEach(() => {
  db.close();
  rmSync(folder, { recursive: true, force: true });
});

const event = (more: Partial<NewCustodyEvent> = {}): NewCustodyEvent => ({
  time: "2026-05-04T03:02:01Z",
  type: "package-sealed",
  packageId: "p1",
  engagement: "acme",
  details: { z: 1, a: ["ä", null] },
  ...more,
});

test("events come back as they were told, chained as the documentation says", () => {
  const first = appendEvent(db, event());
  const second = appendEvent(
    db,
    event({ type: "backup-made", packageId: null, engagement: null, details: {} }),
  );
  const third = appendEvent(db, event({ type: "fixity-checked" }));
  expect(eventsOf(db, "p1")).toEqual([first, third]);
  expect([first.seq, second.seq, third.seq]).toEqual([1, 2, 3]);
  expect(first.prev).toBe("0".repeat(64));
  expect(second.prev).toBe(first.hash);
  const { hash, ...rest } = third;
  expect(hash).toBe(createHash("sha256").update(canonicalJson(rest)).digest("hex"));
  expect(checkChain(db)).toEqual({ state: "whole", events: 3, head: third.hash });
});

test("an empty log is whole", () => {
  expect(checkChain(db)).toEqual({ state: "whole", events: 0, head: null });
  expect(eventsOf(db, "p1")).toEqual([]);
});

test("an event inside the caller's transaction is undone with it", () => {
  const doomed = db.transaction(() => {
    appendEvent(db, event());
    throw new Error("changed my mind");
  });
  expect(() => doomed.immediate()).toThrow("changed my mind");
  appendEvent(db, event());
  expect(checkChain(db)).toMatchObject({ state: "whole", events: 1 });
});

test("details that have no canonical form are refused and nothing is written", () => {
  expect(() => appendEvent(db, event({ details: { a: undefined } }))).toThrow(TypeError);
  expect(() => appendEvent(db, event({ details: { a: Number.NaN } }))).toThrow(TypeError);
  expect(checkChain(db)).toMatchObject({ events: 0 });
});

test("two connections append to one chain", () => {
  const other = openDatabase(join(folder, "ledger.db"), [custody], true);
  for (let i = 0; i < 10; i++) appendEvent(i % 2 === 0 ? db : other, event({ details: { i } }));
  other.close();
  expect(checkChain(db)).toMatchObject({ state: "whole", events: 10 });
});

describe("the database itself refuses", () => {
  const row = "2, 't', 'restored', NULL, NULL, '{}'";
  test.each([
    ["a change", "UPDATE custody_events SET time = 'x'"],
    ["a deletion", "DELETE FROM custody_events"],
    [
      "a replacement",
      `INSERT OR REPLACE INTO custody_events SELECT 1, 't', 'restored', NULL, NULL, '{}', prev, 'h' FROM custody_events`,
    ],
    ["an entry that follows nothing", `INSERT INTO custody_events VALUES (${row}, 'prev', 'hash')`],
    [
      "a gap",
      "INSERT INTO custody_events SELECT 3, 't', 'restored', NULL, NULL, '{}', hash, 'h' FROM custody_events",
    ],
  ])("%s", (_name, sql) => {
    const before = appendEvent(db, event());
    expect(() => db.exec(sql)).toThrow("append-only");
    expect(checkChain(db)).toEqual({ state: "whole", events: 1, head: before.hash });
  });
});

describe("what somebody did with the triggers removed is found", () => {
  test.each([
    ["a changed time", "UPDATE custody_events SET time = 'x' WHERE seq = 2", 2, "was changed"],
    ["changed details", `UPDATE custody_events SET details = '{"a":2}' WHERE seq = 2`, 2, "was changed"],
    [
      "details written another way",
      "UPDATE custody_events SET details = ' ' || details WHERE seq = 2",
      2,
      "not an event",
    ],
    ["a changed package", "UPDATE custody_events SET package_id = NULL WHERE seq = 2", 2, "was changed"],
    ["an unknown type", "UPDATE custody_events SET type = 'shredded' WHERE seq = 2", 2, "not an event"],
    ["a removed entry", "DELETE FROM custody_events WHERE seq = 2", 3, "entry 2 is missing"],
    ["a removed beginning", "DELETE FROM custody_events WHERE seq = 1", 2, "entry 1 is missing"],
    [
      "a removed entry, the others moved up",
      "DELETE FROM custody_events WHERE seq = 2; UPDATE custody_events SET seq = 2 WHERE seq = 3",
      2,
      "does not follow",
    ],
  ])("%s", (_name, sql, seq, what) => {
    for (let i = 0; i < 3; i++) appendEvent(db, event({ details: { i } }));
    for (const trigger of ["no_update", "no_delete", "in_order"])
      db.exec(`DROP TRIGGER custody_events_${trigger}`);
    db.exec(sql);
    expect(checkChain(db)).toEqual({ state: "broken", seq, what: expect.stringContaining(what) });
    if (what === "not an event") expect(() => eventsOf(db, "p1")).toThrow("Entry 2");
  });
});

test("the migration leaves a ledger with other tables as it is, and finding a package's events uses the index", () => {
  const earlier: Migration = {
    number: 10,
    subject: "x",
    up: (d) => d.exec("CREATE TABLE x (a TEXT) STRICT"),
  };
  const file = join(folder, "older.db");
  const older = openDatabase(file, [earlier], true);
  older.exec("INSERT INTO x VALUES ('kept')");
  older.close();
  const newer = openDatabase(file, [earlier, custody], true);
  expect(newer.prepare("SELECT a FROM x").get()).toEqual({ a: "kept" });
  const plan = newer
    .prepare("EXPLAIN QUERY PLAN SELECT * FROM custody_events WHERE package_id = ? ORDER BY seq")
    .all("p");
  expect(plan).toEqual([
    expect.objectContaining({ detail: expect.stringContaining("custody_events_by_package") }),
  ]);
  newer.close();
});
