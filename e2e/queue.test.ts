import type { ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fromLedger } from "./crash-scenario.ts";
import { Desk, type Finished } from "./run-cli.ts";

/** Five parts, and a limit at which the first two take some seconds. */
const LARGE = 70_000_000;
const SLOW = "12MiB";

let desk: Desk;
beforeEach(async () => {
  desk = await Desk.open();
  await desk.engage();
});
afterEach(() => desk.close());

interface Running {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
}

/** Starts a command that goes on beside the test. */
async function start(...args: readonly string[]): Promise<Running> {
  const { promise: started, resolve } = Promise.withResolvers<ChildProcess>();
  const finished = desk.run(args, { onStart: async (child) => resolve(child) });
  return { child: await started, finished };
}

async function until(happened: () => boolean): Promise<void> {
  while (!happened()) await delay(50);
}

const ask = (sql: string) => () => fromLedger(desk.home, sql).length > 0;
const somePartsAreThrough = ask("SELECT 1 FROM transfer_parts");
const agentIsThere = ask("SELECT 1 FROM workers");

async function seal(name: string, bytes: number): Promise<string> {
  await desk.write(`${name}/disk.img`, Buffer.alloc(bytes, createHash("sha512").update(name).digest()));
  return desk.build("acme-2026", name, name);
}

async function states(): Promise<readonly unknown[]> {
  const { transfers } = await desk.value("transfers", "list", "--all");
  return (transfers as readonly { readonly state: string }[]).map(({ state }) => state);
}

async function transferId(): Promise<string> {
  const { transfers } = await desk.value("transfers", "list");
  const [first] = transfers as readonly { readonly id: string }[];
  return first?.id.slice(0, 8) ?? "none";
}

async function uploads(): Promise<readonly string[]> {
  return (await readdir(desk.path("vault"), { recursive: true })).filter((name) => name.endsWith(".upload"));
}

async function expectStored(id: string): Promise<void> {
  expect(await states()).toEqual(["stored"]);
  expect(await uploads()).toEqual([]);
  expect(await desk.value("verify", id, "--remote", "--full")).toMatchObject({ verdict: "valid" });
}

describe("a push in one process", () => {
  test("is paused from another, and resumed by a third", async () => {
    const id = await seal("week-1", LARGE);
    const push = await start("package", "push", id, "--limit", SLOW);
    await until(somePartsAreThrough);
    const paused = await desk.run(["transfers", "pause", await transferId()]);
    expect([paused.exitCode, paused.out]).toEqual([0, expect.stringMatching(/^Paused: week-1 to office, /)]);
    const end = await push.finished;
    expect([end.exitCode, end.err]).toEqual([2, expect.stringContaining("was paused; what was transferred")]);
    const resumed = await desk.run(["transfers", "resume", await transferId()]);
    expect([resumed.exitCode, resumed.out]).toEqual([0, "Stored: week-1 to office, 66.8 MiB\n"]);
    await expectStored(id);
  });

  test("is cancelled from another: nothing of it stays in the vault", async () => {
    const id = await seal("week-1", LARGE);
    const push = await start("package", "push", id, "--limit", SLOW);
    await until(somePartsAreThrough);
    const cancelled = await desk.run(["transfers", "cancel", await transferId()]);
    expect(cancelled).toMatchObject({ exitCode: 0, out: "Cancelled: week-1 to office\n", err: "" });
    expect((await push.finished).exitCode).toBe(2);
    expect(await uploads()).toEqual([]);
    expect(await states()).toEqual(["cancelled"]);
  });

  test("that is killed is gone on with by an agent at once", async () => {
    const id = await seal("week-1", LARGE);
    const agent = await start("agent");
    await until(agentIsThere);
    const push = await start("package", "push", id, "--limit", SLOW);
    await until(somePartsAreThrough);
    push.child.kill("SIGKILL");
    expect((await push.finished).signal).toBe("SIGKILL");
    await until(ask("SELECT 1 FROM transfers WHERE state = 'stored'"));
    agent.child.kill("SIGTERM");
    expect(await agent.finished).toMatchObject({
      exitCode: 0,
      out: expect.stringMatching(/1 transfer done\.\n$/),
    });
    await expectStored(id);
  });
});

describe("an agent", () => {
  test("that is killed is no agent any more; the next one goes on, and SIGTERM keeps everything", async () => {
    const id = await seal("week-1", LARGE);
    await desk.value("transfers", "limit", SLOW);
    const first = await start("agent");
    await until(agentIsThere);
    expect((await desk.run(["agent"])).err).toContain("is the agent of this state folder already");
    const queued = await desk.run(["package", "push", id, "--detach"]);
    expect(queued).toMatchObject({
      exitCode: 0,
      out: expect.stringMatching(/^Queued: week-1 to office, 66\.8 MiB; /),
    });
    await until(somePartsAreThrough);
    first.child.kill("SIGKILL");
    await first.finished;
    const alone = await desk.failure("package", "push", id, "--detach");
    expect(alone).toMatchObject({ code: "NO_WORKER", nextStep: expect.stringContaining("strongroom agent") });

    const second = await start("agent");
    await until(ask("SELECT 1 FROM transfer_parts WHERE number > 2"));
    second.child.kill("SIGTERM");
    const end = await second.finished;
    expect([end.exitCode, end.out]).toEqual([
      0,
      expect.stringContaining("0 transfers done, 1 left for the next run."),
    ]);
    expect(await states()).toEqual(["queued"]);

    await desk.value("transfers", "limit", "off");
    const last = await desk.run(["agent", "--until-empty"]);
    expect([last.exitCode, last.out]).toEqual([0, expect.stringMatching(/1 transfer done\.\n$/)]);
    await expectStored(id);
  });

  test("leaves what is paused, however often things are restarted", async () => {
    const id = await seal("week-1", LARGE);
    const push = await start("package", "push", id, "--limit", SLOW);
    await until(somePartsAreThrough);
    await desk.value("transfers", "pause", await transferId());
    await push.finished;
    for (let i = 0; i < 2; i++) {
      const { exitCode, out } = await desk.run(["agent", "--until-empty"]);
      expect([exitCode, out]).toEqual([0, expect.stringContaining("0 transfers done, 1 paused.")]);
    }
    expect(await states()).toEqual(["paused"]);
    expect(await desk.value("package", "push", id)).toMatchObject({ alreadyStored: false });
    await expectStored(id);
  });

  test("ends with 2 when it is to empty the queue and something needs a person", async () => {
    const id = await seal("week-1", 1000);
    await desk.failure("package", "push", id, "--detach");

    await rm(desk.path("home", "packages", id), { recursive: true });
    const { exitCode, out } = await desk.run(["agent", "--until-empty"]);
    expect([exitCode, out]).toEqual([2, expect.stringContaining("1 stopped (strongroom transfers list)")]);
    const { out: list } = await desk.run(["transfers", "list"]);
    expect(list).toContain("week-1   office  stopped");
    expect(list).toContain("next: ");
  });
});

test("a pull that was killed is gone on with by the next agent", async () => {
  await desk.write("ev/disk.img", Buffer.alloc(LARGE, "evidence "));
  const built = await desk.value(
    ...["package", "build", "acme-2026", "ev", "--name", "week-1", "--reference"],
  );
  const id = String(Reflect.get(Object(built.package), "id"));
  await desk.value("package", "push", id);
  const pull = await start("package", "pull", id, "--to", desk.path("review"), "--limit", SLOW);
  await until(ask("SELECT 1 FROM transfer_parts WHERE key LIKE '%/week-1.tar' AND key LIKE '/%'"));
  pull.child.kill("SIGKILL");
  await pull.finished;
  const { transfers } = await desk.value("transfers", "list");
  expect(transfers).toMatchObject([{ direction: "pull", state: "queued", to: desk.path("review") }]);
  const { exitCode, out } = await desk.run(["agent", "--until-empty"]);
  expect([exitCode, out]).toEqual([0, expect.stringMatching(/1 transfer done\.\n$/)]);
  expect((await readdir(desk.path("review"))).sort()).toEqual(["week-1", "week-1.seal.json"]);
  expect(await desk.value("verify", desk.path("review", "week-1"))).toMatchObject({ verdict: "valid" });
});

test("watch tells of every change, in JSON one document a line, and ends when nothing runs any more", async () => {
  const id = await seal("week-1", LARGE);
  const push = await start("package", "push", id, "--limit", SLOW);
  await until(somePartsAreThrough);
  const [plain, json] = await Promise.all([
    desk.run(["transfers", "watch"]),
    desk.run(["transfers", "watch", "--json"]),
  ]);
  expect((await push.finished).exitCode).toBe(0);
  expect([plain.exitCode, plain.err, json.exitCode, json.err]).toEqual([0, "", 0, ""]);
  expect(plain.out).toMatch(/ {2}sending .*week-1 to office/);
  expect(plain.out).toMatch(/ {2}stored {5}100% {2}66\.8 MiB of 66\.8 MiB {2}week-1 to office/);
  expect(plain.out).toMatch(/Nothing runs any more\.\n$/);
  const documents = json.out
    .trim()
    .split("\n")
    .map((line): unknown => JSON.parse(line));
  expect(documents.length).toBeGreaterThan(1);
  expect(documents[0]).toMatchObject({ ok: true, value: { state: "sending", package: id } });
  expect(documents.at(-1)).toMatchObject({ ok: true, value: { state: "stored", package: id } });
});
