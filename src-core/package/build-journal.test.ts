import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openVault } from "../open-vault.ts";
import { failureIn, valueIn, Workroom } from "../testing/workroom.ts";
import { thisProcess } from "../transfer/lease-holder.ts";

let room: Workroom;
beforeEach(async () => {
  room = await Workroom.open();
});
afterEach(() => room.close());

const ID = "01a1fe15-dafe-7ba9-b9e7-c9d7baa7bdc5";
const draft = () => `.draft-${ID}`;

/** The draft of a process for which the system does not tell when it started, as on macOS and Windows. */
function plantDraft(more: Planted): void {
  mkdirSync(join(room.home, "packages", draft()));
  writeFileSync(join(room.home, "packages", draft(), "site-a.tar"), "half");
  plantBuild(ID, more);
}

interface Planted {
  readonly pid?: number;
  readonly startedAgo: number;
  readonly beatAgo: number;
}

function plantBuild(id: string, more: Planted): void {
  const ledger = new Database(join(room.home, "ledger.db"));
  const holder = { ...thisProcess(), started: null, pid: more.pid ?? process.pid };
  ledger
    .prepare(
      "INSERT INTO builds (package_id, engagement, origin, state, holder, started, beat) VALUES (?, ?, 'package-sealed', 'hashing', ?, ?, ?)",
    )
    .run(
      id,
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
    plantDraft({ startedAgo: 5 * HOUR, beatAgo: 12_000 });
    expect(await afterReopening()).toEqual([draft()]);
  });

  test("is removed once it has been silent for long, or its process is gone", async () => {
    plantDraft({ startedAgo: 5 * HOUR, beatAgo: HOUR });
    expect(await afterReopening()).toEqual([]);
    plantDraft({ pid: NOBODY, startedAgo: 1000, beatAgo: 0 });
    expect(await afterReopening()).toEqual([]);
  });

  test("that is not in the journal is never touched", async () => {
    mkdirSync(join(room.home, "packages", draft()));
    expect(await afterReopening()).toEqual([draft()]);
    expect(valueIn(await room.vault.packageList({}))).toEqual([]);
  });
});

describe("a package that was published by a process that died before it said so", () => {
  const sealings = (id: string) => {
    const ledger = new Database(join(room.home, "ledger.db"), { readonly: true });
    const rows = ledger
      .prepare("SELECT count(*) FROM custody_events WHERE type = 'package-sealed' AND package_id = ?")
      .pluck();
    const count = rows.get(id);
    ledger.close();
    return count;
  };

  async function expectKeptAndRecordedOnce(id: string): Promise<void> {
    plantBuild(id, { pid: NOBODY, startedAgo: 1000, beatAgo: 0 });
    for (const _ of ["settled", "settled already"]) {
      expect(await afterReopening()).toEqual([id]);
      expect(sealings(id)).toBe(1);
    }
  }

  test("is kept, and its sealing is recorded", async () => {
    const elsewhere = await Workroom.withEvidence();
    const { id, folder } = await elsewhere.build("ev");
    renameSync(folder, join(room.home, "packages", id));
    await elsewhere.close();
    await expectKeptAndRecordedOnce(id);
  });

  test("is kept, and its sealing is not recorded a second time", async () => {
    room.write("ev/a.txt", "alpha");
    const { id } = await room.build("ev");
    await expectKeptAndRecordedOnce(id);
  });
});

test("a package that another process is taking in is not taken in a second time", async () => {
  const elsewhere = await Workroom.withEvidence();
  const { id } = await elsewhere.build("ev");
  const to = room.path("handover");
  const { folder } = valueIn(await elsewhere.vault.packageHandover({ package: id, to }));
  await elsewhere.close();
  plantBuild(id, { startedAgo: 1000, beatAgo: 0 });
  const failure = failureIn(await room.vault.packageImport({ path: join(folder, "site-a.tar") }));
  expect(failure).toMatchObject({ code: "BUSY", subject: id });
  expect(room.packages()).toEqual([]);
});

test("a published package that was damaged before its build was settled does not keep its owner from the others", async () => {
  room.write("ev/a", "x");
  const [{ id, folder }, sound] = [await room.build("ev"), await room.build("ev")];
  plantBuild(id, { pid: NOBODY, startedAgo: 1000, beatAgo: 0 });
  writeFileSync(join(folder, "seal.json"), "{}");
  const again = valueIn(await openVault({ home: room.home }));
  expect(valueIn(await again.packageShow({ package: sound.id })).id).toBe(sound.id);
  expect(failureIn(await again.packageShow({ package: id })).code).toBe("SEAL_INVALID");
  await again.close();
});
