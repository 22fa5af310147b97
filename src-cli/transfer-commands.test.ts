import { describe, expect, test } from "vitest";
import type { TransferQueue, TransferSummary } from "../src-contract/transfers.ts";
import type { VaultApi } from "../src-contract/vault-api.ts";
import { fakeVault, strongroom } from "./run-fixtures.ts";

const MIB = 1024 ** 2;

function transfer(more: Partial<TransferSummary> = {}): TransferSummary {
  return {
    id: "5b21c0de-0000-4000-8000-000000000000",
    direction: "push",
    package: "0197f3a2-0000-7000-8000-000000000000",
    packageName: "week-1",
    engagement: "acme-2026",
    vault: "office",
    to: null,
    state: "sending",
    bytesDone: 45 * MIB,
    bytesTotal: 100 * MIB,
    partsDone: 2,
    partsTotal: 7,
    priority: 0,
    created: "2026-11-21T10:00:00Z",
    updated: "2026-11-21T10:00:10Z",
    cause: null,
    nextTry: null,
    wish: null,
    process: { pid: 4711, machine: "desk" },
    ...more,
  };
}

const away = {
  code: "VAULT_UNREACHABLE",
  message: "s3://evidence at https://store.example: nothing listens there (ECONNREFUSED).",
  nextStep: "Check the connection.",
} as const;

function queueOf(transfers: readonly TransferSummary[], more: Partial<TransferQueue> = {}) {
  const value: TransferQueue = { transfers, workers: [], bytesPerSecond: null, ...more };
  return { ok: true as const, value };
}

const agent = { kind: "agent", pid: 77, machine: "desk", started: "2026-11-21T09:00:00Z" } as const;

function listing(...looks: readonly (readonly TransferSummary[])[]): Pick<VaultApi, "transfersList"> {
  let look = 0;
  return { transfersList: async () => queueOf(looks[Math.min(look++, looks.length - 1)] ?? []) };
}

describe("transfers list", () => {
  test("fits a terminal of 80 columns, says why, and what to do", async () => {
    const transfers = [
      transfer(),
      transfer({
        packageName: "a-package-with-a-name-of-the-greatest-length-that-is-allowed-for-such-a-name-yes",
        state: "waiting",
        cause: away,
        nextTry: new Date(Date.now() + 42_000).toISOString(),
        priority: 5,
      }),
      transfer({
        direction: "pull",
        vault: null,
        to: "/home/anna/audits/2026/review",
        state: "stopped",
        process: null,
        cause: { code: "DISK_FULL", message: "The disk is full.", nextStep: "Free some space." },
      }),
    ];
    const vault = fakeVault({
      transfersList: async () => queueOf(transfers, { workers: [agent], bytesPerSecond: 5 * MIB }),
    });
    const { exitCode, out } = await strongroom(["transfers", "list"], { vault });
    expect(exitCode).toBe(0);
    for (const line of out.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
    expect(out).toContain("5b21c0de  week-1 ");
    expect(out).toContain("  sending   45%  100.0 MiB");
    expect(out).toContain("priority 5");
    expect(out).toMatch(/Next try in 4[12] s\./);
    expect(out).toContain("…dits/2026/review");
    expect(out).toContain("The disk is full.");
    expect(out).toContain("next: Free some space. Then: strongroom transfers resume 5b21c0de");
    expect(out).toContain("The agent (process 77) does what is queued.");
    expect(out).toContain("Limit: 5.0 MiB per second");
  });

  test("says when nobody would do the work", async () => {
    const vault = fakeVault(listing([transfer({ state: "queued", process: null })]));
    const { out } = await strongroom(["transfers", "list"], { vault });
    expect(out).toContain("Nothing runs that would do it. Start: strongroom agent");
    const nothing = await strongroom(["transfers", "list"], { vault: fakeVault(listing([])) });
    expect(nothing.out).toBe("Nothing is queued. What is over, too: strongroom transfers list --all\n");
  });

  test("shows names as text", async () => {
    const vault = fakeVault(listing([transfer({ direction: "pull", vault: null, to: "/tmp/\u001b[2J" })]));
    const { out } = await strongroom(["transfers", "list"], { vault });
    expect(out).not.toContain("\u001b");
  });
});

describe("transfers watch", () => {
  const stored = transfer({ state: "stored", bytesDone: 100 * MIB, process: null });

  test("draws over its lines on a terminal and leaves what is over above them", async () => {
    const vault = fakeVault(listing([transfer()], [transfer({ bytesDone: 50 * MIB }), stored], []));
    const { exitCode, out } = await strongroom(["transfers", "watch"], {
      vault,
      out: { isTTY: true },
      env: { NO_COLOR: "1" },
    });
    expect(exitCode).toBe(0);
    const [first = "", second = "", ...rest] = out.split("\u001b[2A\r\u001b[J");
    expect(first).toBe(
      "week-1 to office  5b21c0de\n  sending    [#####-----]   45%  45.0 MiB of 100.0 MiB\n",
    );
    expect(second).toMatch(/^stored {5}week-1 to office, 100\.0 MiB\nweek-1 to office/);
    expect(rest.join("")).toMatch(/Nothing runs any more\.\n$/);
    for (const line of out.replaceAll("\u001b[2A\r\u001b[J", "").split("\n"))
      expect(line.length).toBeLessThanOrEqual(79);
  });

  test("shows the cause and the next try while it waits, and what else is queued", async () => {
    const waiting = transfer({ state: "waiting", cause: away, nextTry: "2026-11-21T10:00:00Z" });
    const queued = transfer({ id: "aaaaaaaa", state: "queued", process: null });
    const vault = fakeVault(listing([waiting, queued, queued], []));
    const options = { vault, out: { isTTY: true }, env: { NO_COLOR: "1" } };
    const { out } = await strongroom(["transfers", "watch"], options);
    expect(out).toContain("45.0 MiB of 100.0 MiB  trying again now\n");
    expect(out).toContain("nothing listens there");
    expect(out).toContain("2 queued (strongroom transfers list)");
  });

  test("writes a line for each change where it is piped, and JSON documents where they are asked for", async () => {
    const looks = [[transfer()], [transfer({ bytesDone: 46 * MIB })], [stored]];
    const plain = await strongroom(["transfers", "watch"], { vault: fakeVault(listing(...looks)) });
    expect(plain.out.split("\n")).toEqual([
      expect.stringMatching(
        / {2}sending {5}45% {2}45\.0 MiB of 100\.0 MiB {2}week-1 to office \(5b21c0de\)$/,
      ),
      expect.stringMatching(/ {2}stored {5}100% {2}100\.0 MiB of 100\.0 MiB {2}week-1 to office/),
      "Nothing runs any more.",
      "",
    ]);
    const json = await strongroom(["transfers", "watch", "--json"], { vault: fakeVault(listing(...looks)) });
    const documents = json.out
      .trim()
      .split("\n")
      .map((line): unknown => JSON.parse(line));
    expect(documents).toEqual([
      { ok: true, value: transfer() },
      { ok: true, value: transfer({ bytesDone: 46 * MIB }) },
      { ok: true, value: stored },
    ]);
  });

  test("ends at once with the queue when nothing runs", async () => {
    const vault = fakeVault(listing([transfer({ state: "paused", process: null })]));
    const { exitCode, out } = await strongroom(["transfers", "watch"], { vault });
    expect(exitCode).toBe(0);
    expect(out).toContain("paused");
  });

  test("ends with the failure when it cannot look", async () => {
    const { exitCode, out } = await strongroom(["transfers", "watch", "--json"], { vault: fakeVault({}) });
    expect(exitCode).toBe(2);
    expect(JSON.parse(out)).toMatchObject({ ok: false, failure: { code: "INTERNAL" } });
  });
});

describe("agent", () => {
  test("shows what it does and says in the end what it did", async () => {
    const vault = fakeVault({
      ...listing([transfer()]),
      runQueue: async () => {
        await new Promise((resolve) => setTimeout(resolve, 700));
        return { ok: true, value: { done: 1, stopped: 2, paused: 0, left: 3 } };
      },
    });
    const forEver = await strongroom(["agent"], { vault });
    expect(forEver.exitCode).toBe(0);
    expect(forEver.out).toMatch(
      /1 transfer done, 2 stopped \(strongroom transfers list\), 3 left for the next run\.\n$/,
    );
    const json = await strongroom(["agent", "--until-empty", "--json"], { vault });
    expect([json.exitCode, json.err]).toEqual([2, ""]);
    expect(JSON.parse(json.out.trim().split("\n").at(-1) ?? "")).toMatchObject({
      ok: true,
      value: { stopped: 2 },
    });
  });

  test("says at once why it cannot", async () => {
    const failure = { code: "BUSY", message: "Process 77 is the agent.", nextStep: "Wait." } as const;
    const vault = fakeVault({ ...listing([transfer()]), runQueue: async () => ({ ok: false, failure }) });
    const { exitCode, out, err } = await strongroom(["agent"], { vault });
    expect([exitCode, out, err]).toEqual([2, "", "error: Process 77 is the agent.\nnext: Wait.\n"]);
  });
});

describe("what is asked of a transfer", () => {
  const done = (answer: Partial<TransferSummary>) => async () => ({
    ok: true as const,
    value: transfer(answer),
  });

  test.each([
    ["pause", { state: "paused", process: null }, /^Paused: week-1 to office, 45\.0 MiB of 100\.0 MiB\. /],
    ["pause", { wish: "pause" }, /^Asked for: process 4711 pauses week-1/],
    ["pause", { state: "stored", process: null }, /^Too late to pause week-1 to office: it is stored\./],
    ["cancel", { state: "cancelled", process: null }, /^Cancelled: week-1 to office\n/],
    ["cancel", { wish: "cancel" }, /^Asked for: process 4711 ends week-1/],
    ["resume", { state: "stored", process: null }, /^Stored: week-1 to office, 100\.0 MiB\n/],
    ["resume", { state: "queued", process: null }, /^Queued: week-1 to office; the agent goes on/],
    ["resume", {}, /^Under way: week-1 to office, by process 4711/],
  ] as const)("%s answers %j", async (verb, answer, text) => {
    const vault = fakeVault({
      transferPause: done(answer),
      transferCancel: done(answer),
      transferResume: done(answer),
    });
    const { exitCode, out } = await strongroom(["transfers", verb, "5b21c0de"], { vault });
    expect(exitCode).toBe(0);
    expect(out).toMatch(text);
  });

  test.each([
    [["transfers", "pause", "xyz"], '<transfer> "xyz": must be a transfer\'s id'],
    [["transfers", "resume", "5b21", "--priority", "high"], "Write a whole number."],
    [["transfers", "resume", "5b21", "--priority", "101"], "--priority: must be from -100 to 100"],
    [["transfers", "limit", "5"], "Write it as 500KiB, 5MiB"],
    [["transfers", "limit", "1KiB"], "must be at least 64 KiB per second"],
    [["transfers", "orphans", "--older-than", "soon"], "Write it as 30min, 24h or 7d."],
    [["package", "push", "0197", "--detach", "--limit", "5MiB"], "cannot be used with"],
  ])("%j is refused", async (argv, message) => {
    const { exitCode, err } = await strongroom(argv);
    expect(exitCode).toBe(2);
    expect(err).toContain(message);
  });
});

describe("limits and ages", () => {
  test.each([
    ["5MiB", 5 * MIB],
    ["5mib/s", 5 * MIB],
    ["1.5MB", 1_500_000],
    ["500 kB", 500_000],
    ["1GiB", 1024 * MIB],
    ["off", null],
  ])("%s", async (text, bytesPerSecond) => {
    const asked: unknown[] = [];
    const vault = fakeVault({
      transfersSetLimit: async (request) => {
        asked.push(request);
        return { ok: true, value: { bytesPerSecond: request.bytesPerSecond } };
      },
      packagePush: async (request) => {
        asked.push(request);
        return { ok: false, failure: { code: "CANCELLED", message: "m", nextStep: "n" } };
      },
    });
    await strongroom(["transfers", "limit", text], { vault });
    await strongroom(["package", "push", "0197", "--limit", text, "--priority", "-3"], { vault });
    expect(asked).toEqual([{ bytesPerSecond }, { package: "0197", limit: bytesPerSecond, priority: -3 }]);
  });

  test("orphans are dropped by age", async () => {
    const asked: unknown[] = [];
    const orphan = {
      ...{ vault: "lake", key: "engagements/a/x.tar", uploadId: "u", begun: null },
      ...{ bytes: 5 * MIB, ours: false, dropped: true },
    };
    const vault = fakeVault({
      transfersOrphans: async (request) => {
        asked.push(request);
        return { ok: true, value: [orphan, { ...orphan, ours: true, dropped: false }] };
      },
    });
    const { out } = await strongroom(["transfers", "orphans", "--abort", "--older-than", "7d"], { vault });
    expect(asked).toEqual([{ abort: true, olderThan: 604_800 }]);
    expect(out).toContain("engagements/a/x.tar\n  lake, age not known, 5.0 MiB, dropped\n");
    expect(out).toContain("1 upload dropped; 1 kept");
  });
});
