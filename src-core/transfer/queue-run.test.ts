import { afterEach, beforeEach, expect, test } from "vitest";
import type { Progress, Waiting } from "../../src-contract/progress.ts";
import { valueIn } from "../testing/workroom.ts";
import { LARGE, QueueRoom, SLOW } from "./queue-fixtures.ts";

let at: QueueRoom;
beforeEach(async () => {
  at = await QueueRoom.open();
});
afterEach(() => at.close());

/** Takes the vault away as soon as some of the transfer is through, and brings it back once it is told that it is waited for. */
function interrupted(id: string) {
  const told: (Waiting | null)[] = [];
  let movedOn = false;
  let plugIn: (() => void) | null = null;
  const away = at
    .transferOf(id, ({ partsDone, process }) => partsDone > 0 && process !== null)
    .then(() => {
      plugIn = at.unplug();
    });
  const onWait = (waiting: Waiting | null) => {
    told.push(waiting);
    plugIn?.();
    plugIn = null;
  };
  const onProgress = ({ phase }: Progress) => {
    if (told.at(-1) === null && (phase === "send" || phase === "receive")) movedOn = true;
  };
  return { told, away, hasMovedOn: () => movedOn, options: { onWait, onProgress } };
}

const waitForVault = {
  cause: { code: "VAULT_UNREACHABLE", message: expect.any(String), nextStep: expect.any(String) },
  nextTry: expect.stringMatching(/^\d{4}-.*Z$/),
};

test("who runs a push or a pull is told what it waits for and until when, and when that is over", async () => {
  const id = await at.seal("week-1", LARGE, "reference");
  const push = interrupted(id);
  valueIn(await at.room.vault.packagePush({ package: id, limit: SLOW }, push.options));
  await push.away;
  expect(push.told[0]).toEqual(waitForVault);
  expect(push.told.at(-1)).toBeNull();
  expect(push.hasMovedOn()).toBe(true);
  const pull = interrupted(id);
  const request = { package: id, to: at.room.path("to"), as: "tar", limit: SLOW } as const;
  valueIn(await at.room.vault.packagePull(request, pull.options));
  await pull.away;
  expect(pull.told[0]).toEqual(waitForVault);
  expect(pull.told.at(-1)).toBeNull();
  expect(pull.hasMovedOn()).toBe(true);
});
