import { execFileSync } from "node:child_process";
import { appendFileSync, readdirSync, renameSync, rmSync, symlinkSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { failureIn, valueIn, Workroom } from "../testing/workroom.ts";

let room: Workroom;
beforeEach(async () => {
  room = await Workroom.withEvidence();
});
afterEach(() => room.close());

describe("a package by reference", () => {
  test("verify names every changed file; push refuses them all by name and stores nothing", async () => {
    const vault = await room.addVault();
    const { id, folder } = await room.build("ev", { mode: "reference" });
    expect((await room.verify(id)).verdict).toBe("valid");
    room.write("ev/a.txt", "alphA");
    truncateSync(room.path("ev/b.txt"), 10);
    const report = await room.verify(id);
    expect(report.verdict).toBe("not valid");
    expect(report.findings.map(({ path }) => path)).toEqual(["data/ev/a.txt", "data/ev/b.txt"]);
    const failure = failureIn(await room.vault.packagePush({ package: id }));
    expect(failure).toMatchObject({
      code: "SOURCE_CHANGED",
      details: { paths: ["data/ev/a.txt", "data/ev/b.txt"] },
    });
    expect(
      readdirSync(vault, { recursive: true }).filter((name) => String(name).endsWith("seal.json")),
    ).toEqual([]);
    room.write("ev/a.txt", "alpha");
    room.write("ev/b.txt", "beta".repeat(1000));
    expect(valueIn(await room.vault.packagePush({ package: id })).alreadyStored).toBe(false);
    expect(readdirSync(folder)).toContain("seal.json");
  });

  test("a tag file that was changed beside the plan is found", async () => {
    const { id, folder } = await room.build("ev", { mode: "reference" });
    appendFileSync(join(folder, "bag-info.txt"), "Note: added\n");
    expect((await room.verify(id)).findings).toMatchObject([{ code: "TAG_MANIFEST", path: "bag-info.txt" }]);
  });

  test("a source that became a link, a pipe or nothing is named", async () => {
    const { id } = await room.build("ev", { mode: "reference" });
    renameSync(room.path("ev/a.txt"), room.path("ev/real"));
    symlinkSync("real", room.path("ev/a.txt"));
    rmSync(room.path("ev/b.txt"));
    execFileSync("mkfifo", [room.path("ev/b.txt")]);
    rmSync(room.path("ev/empty"));
    const report = await room.verify(id);
    expect(report.findings.map(({ code, path }) => `${code} ${path}`)).toEqual([
      "FILE_MISSING data/ev/a.txt",
      "FILE_MISSING data/ev/b.txt",
      "FILE_MISSING data/ev/empty",
    ]);
  });
});
