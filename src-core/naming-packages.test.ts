import { afterEach, beforeEach, expect, test } from "vitest";
import { failureIn, valueIn, Workroom } from "./testing/workroom.ts";

let room: Workroom;
beforeEach(async () => {
  room = await Workroom.withEvidence();
});
afterEach(() => room.close());

test("a package is named by the shortest beginning of its id that no other has; a shared one is refused with both ids", async () => {
  const one = await room.build("ev");
  const other = await room.build("ev");
  const differsAt = [...one.id].findIndex((character, i) => character !== other.id[i]);
  const shared = one.id.slice(0, differsAt);
  const show = (ref: string) => room.vault.packageShow({ package: ref });
  expect(valueIn(await show(other.id.slice(0, differsAt + 1))).id).toBe(other.id);
  const failure = failureIn(await show(shared));
  expect(failure).toMatchObject({ code: "ID_AMBIGUOUS", subject: shared });
  expect(JSON.stringify(failure)).toContain(one.id);
  expect(JSON.stringify(failure)).toContain(other.id);
});

test("a beginning that no package has is refused as not found", async () => {
  await room.build("ev");
  expect(failureIn(await room.vault.packageShow({ package: "ffff" }))).toMatchObject({
    code: "PACKAGE_NOT_FOUND",
    subject: "ffff",
  });
});

test("a push of an engagement that has no vault says how to give it one", async () => {
  const { id } = await room.build("ev");
  expect(failureIn(await room.vault.packagePush({ package: id }))).toMatchObject({
    code: "VAULT_MISSING",
    nextStep: expect.stringContaining(`strongroom engagement set-vault ${Workroom.ENGAGEMENT}`),
  });
});
