import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { failureIn, valueIn } from "../testing/workroom.ts";
import { TransferLease } from "./journal.ts";
import { QueueRoom, SLOW } from "./queue-fixtures.ts";

let at: QueueRoom;
beforeEach(async () => {
  at = await QueueRoom.open();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await at.close();
});

/** Until the answered function is called, who runs a transfer does not see what is asked of it. */
function deafRunners(): () => void {
  const spy = vi.spyOn(TransferLease.prototype, "wish").mockReturnValue(null);
  return () => spy.mockRestore();
}

describe("a package that is to be left to a worker", () => {
  test("while a command sends it: nobody would go on with it, and that is said", async () => {
    const id = await at.seal("week-1");
    const stop = new AbortController();
    const pushing = at.room.vault.packagePush({ package: id, limit: SLOW }, { signal: stop.signal });
    await at.moving(id);
    expect(failureIn(await at.other.packageQueue({ package: id, priority: 7 }))).toMatchObject({
      code: "BUSY",
      message: expect.stringContaining(`process ${process.pid} `),
      details: { pid: process.pid },
    });
    stop.abort();
    await pushing;
    expect(await at.transferOf(id)).toMatchObject({ state: "stopped", priority: 0 });
    // What the next step said.
    expect(failureIn(await at.other.packageQueue({ package: id })).code).toBe("NO_WORKER");
    expect((await at.transferOf(id)).state).toBe("queued");
  });

  test("while it is being cancelled, that is said, and cancelled it is", async () => {
    const id = await at.seal("week-1");
    failureIn(await at.other.packageQueue({ package: id }));
    valueIn(await at.other.transfersSetLimit({ bytesPerSecond: SLOW }));
    const agent = at.agent();
    const { id: transfer } = await at.moving(id);
    const listenAgain = deafRunners();
    const cancelling = at.other.transferCancel({ transfer });
    await at.transferOf(id, ({ wish }) => wish === "cancel");
    expect(failureIn(await at.other.packageQueue({ package: id }))).toMatchObject({
      code: "BUSY",
      message: expect.stringContaining("is being cancelled"),
    });
    listenAgain();
    expect(valueIn(await cancelling).state).toBe("cancelled");
    await agent.stop();
  });

  test("while the agent that sends it was asked to pause it: it goes on", async () => {
    const id = await at.seal("week-1");
    failureIn(await at.other.packageQueue({ package: id }));
    valueIn(await at.other.transfersSetLimit({ bytesPerSecond: SLOW }));
    const agent = at.agent();
    const { id: transfer } = await at.moving(id);
    const listenAgain = deafRunners();
    const pausing = at.other.transferPause({ transfer });
    await at.transferOf(id, ({ wish }) => wish === "pause");
    expect(valueIn(await at.other.packageQueue({ package: id, priority: 3 }))).toMatchObject({
      wish: null,
      priority: 3,
    });
    listenAgain();
    valueIn(await at.other.transfersSetLimit({ bytesPerSecond: null }));
    valueIn(await pausing);
    expect((await at.transferOf(id, ({ state }) => state === "stored")).priority).toBe(3);
    expect(await agent.stop()).toMatchObject({ done: 1, paused: 0, left: 0 });
  });
});
