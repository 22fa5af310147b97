import { mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { failureIn, valueIn, Workroom } from "../testing/workroom.ts";

let room: Workroom;
beforeEach(async () => {
  room = await Workroom.open();
  room.write("ev/a.txt", "a");
});
afterEach(() => room.close());

test("who it is for can enter the folder, and nothing else is left beside it", async () => {
  const { id } = await room.build("ev");
  mkdirSync(room.path("plain"));
  const { folder } = valueIn(await room.vault.packageHandover({ package: id, to: room.path("stick") }));
  expect(statSync(folder).mode).toBe(statSync(room.path("plain")).mode);
  expect(readdirSync(room.path("stick"))).toEqual(["site-a-handover"]);
  expect(readdirSync(folder).sort()).toEqual([
    "HOW-TO-VERIFY.txt",
    "site-a.custody.jsonl",
    "site-a.seal.json",
    "site-a.tar",
  ]);
  expect(readFileSync(join(folder, "HOW-TO-VERIFY.txt"), "utf8")).toContain("1 file, 1 byte\n");
});

test("what is there is not overwritten, and a failure leaves nothing behind", async () => {
  const { id } = await room.build("ev");
  mkdirSync(room.path("stick/site-a-handover"), { recursive: true });
  const taken = await room.vault.packageHandover({ package: id, to: room.path("stick") });
  expect(failureIn(taken).code).toBe("PATH_EXISTS");
  const { id: reference } = await room.build("ev", { name: "site-b", mode: "reference" });
  room.write("ev/a.txt", "b");
  const changed = await room.vault.packageHandover({ package: reference, to: room.path("stick") });
  expect(failureIn(changed).code).toBe("DIGEST_MISMATCH");
  expect(readdirSync(room.path("stick"))).toEqual(["site-a-handover"]);
});
