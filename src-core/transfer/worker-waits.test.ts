import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { TransferSummary } from "../../src-contract/transfers.ts";
import { failureIn, valueIn } from "../testing/workroom.ts";
import { breakLedger, QUEUE_WRITES } from "./ledger-trouble-fixtures.ts";
import { QueueRoom, SLOW } from "./queue-fixtures.ts";

const SMALL = 5000;

let at: QueueRoom;
beforeEach(async () => {
  at = await QueueRoom.open();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await at.close();
});

async function queue(id: string): Promise<void> {
  expect(failureIn(await at.other.packageQueue({ package: id })).code).toBe("NO_WORKER");
}

/** As the agent itself shows the only transfer, once it is in that state. */
async function shownByAgent(state: TransferSummary["state"]): Promise<TransferSummary> {
  for (;;) {
    const [found] = valueIn(await at.room.vault.transfersList({})).transfers;
    if (found?.state === state) return found;
    await delay(20);
  }
}

describe("a ledger that cannot be written since its disk is full", () => {
  test("is waited for by the agent, which shows it; with room again the transfer is done", async () => {
    const id = await at.seal("week-1", SMALL);
    await queue(id);
    const makeRoom = breakLedger("SQLITE_FULL", QUEUE_WRITES);
    const agent = at.agent();
    expect(await shownByAgent("waiting")).toMatchObject({
      cause: { code: "DISK_FULL", message: expect.stringContaining("ledger.db cannot be written") },
      nextTry: expect.any(String),
      process: null,
    });
    makeRoom();
    await at.transferOf(id, ({ state }) => state === "stored");
    expect(await agent.stop()).toMatchObject({ done: 1, left: 0 });
  });

  test("in the middle of a transfer is waited for, too", async () => {
    const id = await at.seal("week-1");
    await queue(id);
    valueIn(await at.other.transfersSetLimit({ bytesPerSecond: SLOW }));
    const agent = at.agent();
    await at.transferOf(id, ({ partsDone }) => partsDone > 0);
    const makeRoom = breakLedger("SQLITE_FULL", QUEUE_WRITES);
    expect((await shownByAgent("waiting")).cause?.code).toBe("DISK_FULL");
    makeRoom();
    valueIn(await at.other.transfersSetLimit({ bytesPerSecond: null }));
    await at.transferOf(id, ({ state }) => state === "stored");
    expect(await agent.stop()).toMatchObject({ done: 1, left: 0 });
  });

  test("does not make a failure of an agent that is told to stop", async () => {
    await queue(await at.seal("week-1", SMALL));
    const agent = at.agent();
    while (valueIn(await at.other.transfersList({})).workers.length === 0) await delay(20);
    breakLedger("SQLITE_FULL", /^\s*(UPDATE|INSERT|DELETE)/);
    expect(await agent.stop()).toMatchObject({ stopped: 0, paused: 0 });
  });

  test("ends an agent that is to go on until the queue is empty, and all stays queued", async () => {
    const id = await at.seal("week-1", SMALL);
    await queue(id);
    const makeRoom = breakLedger("SQLITE_FULL", QUEUE_WRITES);
    expect(failureIn(await at.room.vault.runQueue({ untilEmpty: true })).code).toBe("DISK_FULL");
    makeRoom();
    expect((await at.transferOf(id)).state).toBe("queued");
  });
});

test("a ledger that is damaged ends the agent, which says so", async () => {
  await queue(await at.seal("week-1", SMALL));
  breakLedger("SQLITE_CORRUPT", QUEUE_WRITES);
  expect(failureIn(await at.agent().ended)).toMatchObject({
    code: "DATABASE_DAMAGED",
    nextStep: expect.stringContaining("strongroom restore"),
  });
});

describe("a ledger that another process holds when the next try is to be noted", () => {
  const NEXT_TRY = /^UPDATE transfers SET retry_at = \?/;

  test("does not end the agent: what it waits for is shown, and done in the end", async () => {
    const id = await at.seal("week-1", SMALL);
    await queue(id);
    const plugIn = at.unplug();
    const letGo = breakLedger("SQLITE_BUSY", NEXT_TRY);
    const agent = at.agent();
    expect((await shownByAgent("waiting")).cause?.code).toBe("DATABASE_BUSY");
    letGo();
    plugIn();
    await at.transferOf(id, ({ state }) => state === "stored");
    expect((await agent.stop()).done).toBe(1);
  });

  test("does not end the agent: what a cancelled push left is dropped in the end", async () => {
    const cancelled = await at.seal("week-1");
    const pushing = at.room.vault.packagePush({ package: cancelled, limit: SLOW });
    const { id: transfer } = await at.moving(cancelled);
    valueIn(await at.other.transferPause({ transfer }));
    await pushing;
    const plugIn = at.unplug();
    expect(valueIn(await at.other.transferCancel({ transfer })).state).toBe("cancelled");
    let met = 0;
    const letGo = breakLedger("SQLITE_BUSY", NEXT_TRY, () => {
      met += 1;
    });
    const agent = at.agent();
    while (met === 0) await delay(20);
    letGo();
    plugIn();
    const id = await at.seal("week-2", SMALL);
    valueIn(await at.other.packageQueue({ package: id }));
    await at.transferOf(id, ({ state }) => state === "stored");
    expect((await agent.stop()).done).toBe(1);
    valueIn(await at.room.vault.runQueue({ untilEmpty: true }));
    expect(at.uploads()).toEqual([]);
  });
});
