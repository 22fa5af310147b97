import { hostname } from "node:os";
import { expect, test } from "vitest";
import type { Db } from "../catalog/database.ts";
import { failureOf, scratch } from "../vault/vault-fixtures.ts";
import type { TransferPlan } from "./journal.ts";
import { type LeaseHolder, thisProcess } from "./lease-holder.ts";
import { leaseTransfer } from "./queue-lease.ts";
import { openLedger } from "./transfer-fixtures.ts";

const PLAN: TransferPlan = {
  direction: "push",
  vault: "stick",
  target: "a/x.tar",
  packageId: "p",
  packageDigest: "d",
};
const NOW = 1_800_000_000_000;
const clock = { now: () => NOW };
const take = (db: Db, plan = PLAN) =>
  failureOf(Promise.resolve().then(() => leaseTransfer(db, plan, clock).release()));

/** A lease in the journal as if `holder` had taken it `age` milliseconds ago. */
function heldBy(db: Db, holder: Partial<LeaseHolder>, age: number): void {
  leaseTransfer(db, PLAN, clock).release();
  db.prepare("UPDATE transfers SET lease_token = 'theirs', lease_holder = ?, lease_beat = ?").run(
    JSON.stringify({ ...thisProcess(), ...holder }),
    NOW - age,
  );
}

test("a transfer is leased to one call at a time, also inside one process", async () => {
  using folder = scratch();
  const [db, other] = [openLedger(folder.path), openLedger(folder.path)];
  const lease = leaseTransfer(db, PLAN, clock);
  expect(await take(other)).toMatchObject({
    code: "BUSY",
    message: expect.stringContaining(`Process ${process.pid} `),
  });
  expect((await take(other, { ...PLAN, vault: "another" })).code).toBe("no failure");
  lease.release();
  expect((await take(other)).code).toBe("no failure");
  db.close();
  other.close();
});

const DAY = 86_400_000;
const cases: readonly [string, Partial<LeaseHolder>, number, string][] = [
  ["a process that ended frees its lease at once", { pid: 2 ** 30 }, 0, "no failure"],
  ["a pid that was given to another process frees it at once", { started: "1" }, 0, "no failure"],
  ["a reboot frees it at once", { boot: "another boot" }, 0, "no failure"],
  ["a process that sleeps keeps it, however long", {}, DAY, "BUSY"],
  ["another machine keeps it while it renews it", { machine: `not-${hostname()}` }, 1000, "BUSY"],
  ["another machine loses it when it does not", { machine: `not-${hostname()}` }, DAY, "no failure"],
  [
    "a container that counts its own pids keeps it while it renews it",
    { space: "pid:[1]", pid: 2 ** 30 },
    1000,
    "BUSY",
  ],
  ["without start times a live pid keeps it while it is renewed", { started: null }, 1000, "BUSY"],
  ["without start times a live pid loses it when it is not", { started: null }, DAY, "no failure"],
  ["without start times a dead pid frees it at once", { started: null, pid: 2 ** 30 }, 0, "no failure"],
];

test.each(cases)("%s", { skip: process.platform !== "linux" }, async (_name, holder, age, code) => {
  using folder = scratch();
  const db = openLedger(folder.path);
  heldBy(db, holder, age);
  expect((await take(db)).code).toBe(code);
  db.close();
});

test("a lease that another process took over cannot change the journal any more", async () => {
  using folder = scratch();
  const db = openLedger(folder.path);
  const lease = leaseTransfer(db, PLAN, clock);
  db.prepare("UPDATE transfers SET lease_token = 'theirs'").run();
  const failure = await failureOf(Promise.resolve().then(() => lease.advance("sealing")));
  expect(failure.code).toBe("BUSY");
  expect(db.prepare("SELECT state, lease_token FROM transfers").get()).toEqual({
    state: "queued",
    lease_token: "theirs",
  });
  lease.release();
  expect(db.prepare("SELECT lease_token FROM transfers").pluck().get()).toBe("theirs");
  db.close();
});

test("what was noted is there after the ledger was closed; a dropped upload takes its parts along", async () => {
  using folder = scratch();
  const upload = { key: "a/x.tar", uploadId: "u", size: 10, partSize: 4 };
  const first = openLedger(folder.path);
  const lease = leaseTransfer(first, PLAN, clock);
  lease.addUpload(upload);
  lease.addPart(upload.key, { number: 2, size: 4, tag: "two" });
  lease.addPart(upload.key, { number: 1, size: 4, tag: "one" });
  lease.advance("sending-archive");
  lease.release();
  first.close();
  const db = openLedger(folder.path);
  const again = leaseTransfer(db, PLAN, clock);
  expect(again.found.state).toBe("sending-archive");
  expect(again.uploads()).toEqual([upload]);
  expect(again.parts(upload.key).map(({ tag }) => tag)).toEqual(["one", "two"]);
  again.keepParts(upload.key, [{ number: 2, size: 4, tag: "two" }]);
  expect(again.parts(upload.key).map(({ number }) => number)).toEqual([2]);
  again.dropUpload(upload.key);
  again.addUpload({ ...upload, uploadId: "v" });
  expect(again.parts(upload.key)).toEqual([]);
  again.release();
  db.close();
});

test.each([
  ["checking", 10],
  ["sending-archive", 4],
] as const)("a run that ends while %s leaves %d of 10 bytes as what is through", (state, bytes) => {
  using folder = scratch();
  const db = openLedger(folder.path);
  const entry = { engagement: "acme-2026", packageName: "x", bytes: 10, parts: 3 };
  const told = () => db.prepare("SELECT bytes_done FROM transfers").pluck().get();
  for (const end of ["stop", "pause"] as const) {
    const lease = leaseTransfer(db, { ...PLAN, entry }, clock);
    lease.advance(state);
    lease.note({ bytesDone: 4, waiting: null });
    expect(told()).toBe(4);
    if (end === "stop") lease.stop(null, false);
    else lease.pause();
    // A note that comes late changes nothing.
    lease.note({ bytesDone: 5, waiting: null });
    expect(told()).toBe(bytes);
    lease.release();
  }
  db.close();
});

test("a note says what is waited for, and a step forward that it is over", () => {
  using folder = scratch();
  const db = openLedger(folder.path);
  const lease = leaseTransfer(db, PLAN, clock);
  const failure = { code: "VAULT_UNREACHABLE", message: "It is away.", nextStep: "Wait." } as const;
  const told = () => db.prepare("SELECT bytes_done, cause, retry_at FROM transfers").get();
  lease.note({ bytesDone: 7, waiting: null });
  lease.note({ bytesDone: null, waiting: { failure, retryAt: NOW + 5 } });
  expect(told()).toEqual({ bytes_done: 7, cause: JSON.stringify(failure), retry_at: NOW + 5 });
  lease.advance("checking");
  expect(told()).toEqual({ bytes_done: 7, cause: null, retry_at: null });
  // What the table cannot hold is a fault of the program and not passed over.
  expect(() => lease.note({ bytesDone: 0.5, waiting: null })).toThrow();
  lease.release();
  db.close();
});
