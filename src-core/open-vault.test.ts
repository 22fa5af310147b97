import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openVault } from "./open-vault.ts";
import { failureIn, valueIn, Workroom } from "./testing/workroom.ts";

let room: Workroom;
beforeEach(async () => {
  room = await Workroom.open();
});
afterEach(() => room.close());

const reopened = () => openVault({ home: room.home });

describe.each(["ledger.db", "catalog.db"])("%s", (name) => {
  test("from the future is refused by name and left as it is", async () => {
    await room.vault.close();
    const file = join(room.home, name);
    const db = new Database(file);
    db.pragma("journal_mode = DELETE");
    db.pragma("user_version = 99990");
    db.close();
    const before = readFileSync(file);
    const failure = failureIn(await reopened());
    expect(failure).toMatchObject({ code: "DATABASE_NEWER", subject: file, details: { found: 99990 } });
    expect(failure.message).toContain(name);
    expect(readFileSync(file).equals(before)).toBe(true);
  });

  test("that is no database is refused by name and left as it is", async () => {
    await room.vault.close();
    const file = join(room.home, name);
    for (const more of ["-wal", "-shm"]) rmSync(file + more, { force: true });
    writeFileSync(file, "this is no database\n".repeat(1000));
    expect(failureIn(await reopened())).toMatchObject({
      code: "DATABASE_DAMAGED",
      message: expect.stringContaining(name),
    });
    expect(readFileSync(file, "utf8")).toMatch(/^this is no database/);
  });

  test("whose pages are damaged is refused as damaged, not as a fault of the program", async () => {
    room.write("ev/a", "x");
    await room.build("ev");
    await room.vault.close();
    const file = join(room.home, name);
    const db = new Database(file);
    db.pragma("wal_checkpoint(TRUNCATE)");
    db.close();
    const bytes = readFileSync(file);
    bytes.fill(0xa5, 4096);
    writeFileSync(file, bytes);
    const failure = failureIn(await reopened());
    expect(failure.code).toBe("DATABASE_DAMAGED");
    expect(readFileSync(file).equals(bytes)).toBe(true);
  });
});

test("a deleted catalog comes back with all packages", async () => {
  room.write("ev/a", "x");
  const held = await room.build("ev");
  const referred = await room.build("ev", {
    mode: "reference",
    name: "site-b",
    title: "B",
    phase: "01_recon",
  });
  const before = valueIn(await room.vault.packageList({}));
  await room.vault.close();
  for (const more of ["", "-wal", "-shm"]) rmSync(join(room.home, `catalog.db${more}`), { force: true });
  const again = valueIn(await reopened());
  expect(valueIn(await again.packageList({}))).toEqual(before);
  expect(before.map(({ id }) => id)).toEqual([held.id, referred.id]);
  expect(valueIn(await again.packageFiles({ package: held.id, search: "A" })).total).toBe(1);
  await again.close();
});

test("one damaged package does not keep the others from their owner", async () => {
  room.write("ev/a", "x");
  const bad = await room.build("ev");
  const worse = await room.build("ev");
  const good = await room.build("ev");
  await room.vault.close();
  truncateSync(join(bad.folder, "manifest.json"), 100);
  writeFileSync(join(worse.folder, "seal.json"), "{}");
  for (const more of ["", "-wal", "-shm"]) rmSync(join(room.home, `catalog.db${more}`), { force: true });
  const again = valueIn(await reopened());
  expect(valueIn(await again.packageList({})).map(({ id }) => id)).toEqual([good.id]);
  expect(existsSync(join(bad.folder, "site-a.tar"))).toBe(true);
  await again.close();
});

test("a package whose archive was deleted says what is missing and where to get it", async () => {
  room.write("ev/a", "x");
  const { id, folder } = await room.build("ev");
  rmSync(join(folder, "site-a.tar"));
  for (const outcome of [
    await room.vault.verify({ target: id }),
    await room.vault.packageHandover({ package: id, to: room.path("to") }),
  ]) {
    const failure = failureIn(outcome);
    expect(failure.code).toBe("PACKAGE_NOT_HELD");
    expect(failure.message).toContain("site-a.tar");
  }
});

test("a manifest.json that was changed in the state folder is not believed", async () => {
  room.write("ev/a", "x");
  const { id, folder } = await room.build("ev");
  const file = join(folder, "manifest.json");
  writeFileSync(file, readFileSync(file, "utf8").replaceAll("data/ev/a", "data/ev/b"));
  const out = room.path("list.csv");
  for (const outcome of [
    await room.vault.packageFiles({ package: id }),
    await room.vault.manifestExport({ package: id, format: "csv", out }),
    await room.vault.packagePull({ package: id, to: room.path("to"), file: "data/ev/b" }),
  ]) {
    expect(failureIn(outcome).code).toBe("DIGEST_MISMATCH");
  }
  expect(existsSync(out)).toBe(false);
  expect(valueIn(await room.vault.verify({ target: id }))).toMatchObject({
    verdict: "not valid",
    findings: [{ code: "MANIFEST_JSON_DIGEST", path: "manifest.json" }],
  });
});

describe("a state folder that cannot be used is named", () => {
  test("a file in its place, a folder below a file, a folder that can never be made", async () => {
    writeFileSync(room.path("file"), "");
    for (const home of [room.path("file"), room.path("file", "below"), "/proc/strongroom"]) {
      expect(failureIn(await openVault({ home }))).toMatchObject({ code: "HOME_UNUSABLE", subject: home });
    }
  });

  test("one that holds other things, which is left as it is", async () => {
    const home = dirname(room.write("mine/letter.txt", "dear"));
    chmodSync(home, 0o755);
    const failure = failureIn(await openVault({ home }));
    expect(failure).toMatchObject({ code: "HOME_UNUSABLE", subject: home });
    expect(failure.message).toContain("other things");
    expect(statSync(home).mode & 0o777).toBe(0o755);
    expect(readdirSync(home)).toEqual(["letter.txt"]);
    const empty = room.path("empty");
    mkdirSync(empty, { mode: 0o755 });
    await valueIn(await openVault({ home: empty })).close();
    expect(statSync(empty).mode & 0o777).toBe(0o700);
  });

  test.runIf(process.getuid?.() === 0)("a disk that is read-only", async () => {
    await room.vault.close();
    mkdirSync(room.path("mounted"));
    execFileSync("mount", ["--bind", room.home, room.path("mounted")]);
    try {
      execFileSync("mount", ["-o", "remount,ro,bind", room.path("mounted")]);
      expect(failureIn(await openVault({ home: room.path("mounted") })).code).toBe("HOME_UNUSABLE");
    } finally {
      execFileSync("umount", [room.path("mounted")]);
    }
  });

  test.runIf(process.getuid?.() === 0)("another user's", async () => {
    chmodSync(room.folder, 0o755);
    const script = `
      const { openVault } = await import(${JSON.stringify(new URL("./open-vault.ts", import.meta.url).href)});
      process.setgid(65534); process.setuid(65534);
      const opened = await openVault({ home: ${JSON.stringify(room.home)} });
      console.log(opened.ok ? "opened" : opened.failure.code);`;
    expect(await runScript(script)).toBe("HOME_UNUSABLE");
  });
});

let scripts = 0;
/** Runs as a process of its own; answers with what it printed. */
function runScript(script: string): Promise<string> {
  scripts += 1;
  const file = room.write(`script-${scripts}.mjs`, script);
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", file], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (text) => {
    output += text;
  });
  return new Promise((resolve) => child.on("close", () => resolve(output.trim())));
}

test("processes that open and build at once: each gets its package, each package has one event", async () => {
  await room.vault.close();
  room.write("ev/a", "x".repeat(100_000));
  const script = `
    const { openVault } = await import(${JSON.stringify(new URL("./open-vault.ts", import.meta.url).href)});
    for (let i = 0; i < 3; i++) {
      const opened = await openVault({ home: ${JSON.stringify(room.path("shared"))} });
      if (!opened.ok) throw new Error(JSON.stringify(opened.failure));
      await opened.value.engagementCreate({ id: "acme-2026" });
      const built = await opened.value.packageBuild({ engagement: "acme-2026", sources: [${JSON.stringify(room.path("ev"))}], name: "p" });
      if (!built.ok) throw new Error(JSON.stringify(built.failure));
      console.log(built.value.package.id);
      await opened.value.close();
    }`;
  const printed = await Promise.all([1, 2, 3].map(() => runScript(script)));
  const built = printed.join("\n").split("\n").sort();
  expect(built).toHaveLength(9);
  const again = await room.openOther("shared");
  expect(
    valueIn(await again.packageList({}))
      .map(({ id }) => id)
      .sort(),
  ).toEqual(built);
  await again.close();
  const ledger = new Database(room.path("shared", "ledger.db"));
  const events = ledger
    .prepare("SELECT package_id FROM custody_events WHERE type = 'package-sealed' ORDER BY 1")
    .pluck()
    .all();
  ledger.close();
  expect(events).toEqual(built);
});

test("metadata and texts of any kind are sealed as given and can be read again", async () => {
  room.write("ev/a", "x");
  const metadata = { run_id: "7", "2": "two", "1": "one", constructor: "x", "a\nb": "line\r\nend", "": "" };
  const { "": _, ...valid } = metadata;
  const { id } = await room.build("ev", { metadata: valid, title: "über\nall \u2028 %", subject: "\u0000" });
  expect(valueIn(await room.vault.packageShow({ package: id })).manifest).toMatchObject({
    metadata: valid,
    title: "über\nall \u2028 %",
  });
  expect(valueIn(await room.vault.verify({ target: id, full: true })).verdict).toBe("valid");
});

test.each([
  ["a key that no object can hold", { metadata: JSON.parse('{"__proto__":"x"}') }],
  ["half a character in the title", { title: "\ud800" }],
  ["half a character in a value", { metadata: { a: "\udc00" } }],
  ["half a character in a key", { metadata: { "\udc00": "a" } }],
])("%s is refused, or sealed so that it can be read again", async (_, more) => {
  room.write("ev/a", "x");
  const outcome = await room.vault.packageBuild({
    engagement: Workroom.ENGAGEMENT,
    sources: [room.path("ev")],
    name: "p",
    ...more,
  });
  if (!outcome.ok) {
    expect(outcome.failure.code).toBe("INVALID_INPUT");
    return;
  }
  const id = outcome.value.package?.id ?? "";
  expect(valueIn(await room.vault.verify({ target: id, full: true })).verdict).toBe("valid");
  expect(valueIn(await room.vault.packageShow({ package: id })).name).toBe("p");
});
