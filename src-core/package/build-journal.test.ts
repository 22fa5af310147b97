import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openVault } from "../open-vault.ts";
import { valueIn, Workroom } from "../testing/workroom.ts";
import { thisProcess } from "../transfer/lease-holder.ts";

let room: Workroom;
beforeEach(async () => {
  room = await Workroom.open();
});
afterEach(() => room.close());

const ID = "01a1fe15-dafe-7ba9-b9e7-c9d7baa7bdc5";
const draft = () => `.draft-${ID}`;

/** A build of a process for which the system does not tell when it started, as on macOS and Windows. */
function plantBuild(more: {
  readonly pid?: number;
  readonly startedAgo: number;
  readonly beatAgo: number;
}): void {
  mkdirSync(join(room.home, "packages", draft()));
  writeFileSync(join(room.home, "packages", draft(), "site-a.tar"), "half");
  const ledger = new Database(join(room.home, "ledger.db"));
  const holder = { ...thisProcess(), started: null, pid: more.pid ?? process.pid };
  ledger
    .prepare(
      "INSERT INTO builds (package_id, engagement, origin, state, holder, started, beat) VALUES (?, ?, 'package-sealed', 'hashing', ?, ?, ?)",
    )
    .run(
      ID,
      Workroom.ENGAGEMENT,
      JSON.stringify(holder),
      Date.now() - more.startedAgo,
      Date.now() - more.beatAgo,
    );
  ledger.close();
}

async function afterReopening(): Promise<string[]> {
  const again = valueIn(await openVault({ home: room.home }));
  await again.close();
  return room.packages();
}

const HOUR = 3_600_000;
/** Above every process id that Linux gives away. */
const NOBODY = 2 ** 22 + 1;

describe("the draft of another process", () => {
  test("stays as long as that says that it lives, however long it has been at work", async () => {
    plantBuild({ startedAgo: 5 * HOUR, beatAgo: 12_000 });
    expect(await afterReopening()).toEqual([draft()]);
  });

  test("is removed once it has been silent for long, or its process is gone", async () => {
    plantBuild({ startedAgo: 5 * HOUR, beatAgo: HOUR });
    expect(await afterReopening()).toEqual([]);
    plantBuild({ pid: NOBODY, startedAgo: 1000, beatAgo: 0 });
    expect(await afterReopening()).toEqual([]);
  });

  test("that is not in the journal is never touched", async () => {
    mkdirSync(join(room.home, "packages", draft()));
    expect(await afterReopening()).toEqual([draft()]);
    expect(valueIn(await room.vault.packageList({}))).toEqual([]);
  });
});
