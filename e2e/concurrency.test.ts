import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { killAt } from "./crash-run.ts";
import { buildArgs, ENGAGEMENT, equip, fromLedger, listedPackages, must } from "./crash-scenario.ts";
import { Desk, type Finished } from "./run-cli.ts";

let desk: Desk;
beforeEach(async () => {
  desk = await Desk.open();
  await equip(desk);
});
afterEach(async () => {
  await desk.close();
});

/** Two processes with one state folder, started at once. */
async function atOnce(one: readonly string[], other: readonly string[]): Promise<[Finished, Finished]> {
  return await Promise.all([desk.run(one), desk.run(other)]);
}

function printedId({ exitCode, out, err }: Finished): string {
  expect([exitCode, err]).toEqual([0, ""]);
  return out.trim();
}

/** Exactly these packages are listed and on the disk, each is valid, and the custody log tells of each sealing once. */
async function expectSound(...ids: readonly string[]): Promise<void> {
  const sorted = ids.toSorted();
  expect([...(await listedPackages(desk))].sort()).toEqual(sorted);
  expect((await readdir(join(desk.home, "packages"))).sort()).toEqual(sorted);
  for (const id of ids) await must(desk, "verify", id);
  const events = "SELECT package_id FROM custody_events WHERE type = 'package-sealed' ORDER BY package_id";
  expect(fromLedger(desk.home, events)).toEqual(sorted);
  expect(fromLedger(desk.home, "SELECT package_id FROM builds")).toEqual([]);
}

describe("two processes at once on one state folder", () => {
  test("two builds make two packages", async () => {
    const ends = await atOnce(buildArgs("copy"), buildArgs("reference"));
    const ids = ends.map(printedId);
    expect(new Set(ids).size).toBe(2);
    await expectSound(...ids);
  });

  test("the first two commands in a new state folder both work", async () => {
    const env = { STRONGROOM_HOME: desk.path("new-home") };
    const list = ["package", "list", "--json"];
    const ends = await Promise.all([desk.run(list, { env }), desk.run(list, { env })]);
    for (const { exitCode, out } of ends)
      expect([exitCode, JSON.parse(out)]).toEqual([0, { ok: true, value: [] }]);
  });

  test("two commands that find a package whose builder was killed record its sealing once", async () => {
    const builder = await killAt(desk, buildArgs("copy"), { how: "step", step: "build publishing:3" });
    expect(builder.state).toBe("build publishing");
    const [id = ""] = await readdir(join(desk.home, "packages"));
    const list = ["package", "list", "--json"];
    for (const { out } of await atOnce(list, list)) expect(out).toContain(id);
    await expectSound(id);
  });

  test("of two pushes of one package one stores it; the other names it, or finds it stored", async () => {
    const id = printedId(await desk.run(buildArgs("copy")));
    const push = ["package", "push", id, "--json"];
    const answers = (await atOnce(push, push)).map(({ out }): unknown => JSON.parse(out));
    const stored = { ok: true, value: { alreadyStored: false } };
    expect(answers.filter((answer) => JSON.stringify(answer).includes('"alreadyStored":false'))).toHaveLength(
      1,
    );
    expect(answers).toContainEqual(expect.objectContaining({ ok: stored.ok }));
    for (const answer of answers) {
      if (Reflect.get(Object(answer), "ok") === false)
        expect(answer).toMatchObject({
          failure: { code: "BUSY", message: expect.stringMatching(/Process \d+/) },
        });
    }
    expect(await desk.value("package", "push", id)).toMatchObject({ alreadyStored: true });
    await must(desk, "verify", id, "--remote", "--full");
    await expectSound(id);
    const events = "SELECT package_id FROM custody_events WHERE type = 'package-stored'";
    expect(fromLedger(desk.home, events)).toEqual([id]);
    const records = desk.path("vault", "engagements", ENGAGEMENT, "packages", id, "stored");
    expect(await readdir(records)).toHaveLength(1);
  });

  test("a build while another package is pushed", async () => {
    const pushed = printedId(await desk.run(buildArgs("copy")));
    const [built, push] = await atOnce(buildArgs("copy"), ["package", "push", pushed]);
    expect(push.exitCode).toBe(0);
    await expectSound(pushed, printedId(built));
    await must(desk, "verify", pushed, "--remote", "--full");
  });

  test("a backup while a package is built holds what was sealed before, and restores", async () => {
    const before = printedId(await desk.run(buildArgs("copy")));
    const [built, backup] = await atOnce(buildArgs("copy"), [
      "backup",
      "--to",
      desk.path("backup"),
      "--json",
    ]);
    const during = printedId(built);
    expect(JSON.parse(backup.out)).toMatchObject({ ok: true });
    await expectSound(before, during);

    const { folder, packages } = Object(Reflect.get(Object(JSON.parse(backup.out)), "value"));
    expect(packages).toContain(before);
    const env = { STRONGROOM_HOME: desk.path("second-home") };
    const restored = await desk.run(["restore", "--from", String(folder), "--json"], { env });
    expect(JSON.parse(restored.out)).toMatchObject({ ok: true, value: { packages } });
    const listed: unknown = JSON.parse((await desk.run(["package", "list", "--json"], { env })).out);
    expect(listed).toMatchObject({
      value: expect.arrayContaining([expect.objectContaining({ id: before })]),
    });
    for (const id of packages as readonly string[])
      expect((await desk.run(["verify", id], { env })).exitCode).toBe(0);
    const events = "SELECT package_id FROM custody_events WHERE type = 'package-sealed'";
    expect(fromLedger(env.STRONGROOM_HOME, events)).toEqual(expect.arrayContaining(Object(packages)));
  });
});
