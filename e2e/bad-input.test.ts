import { execFileSync } from "node:child_process";
import { chmod, mkdir, open, readdir, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Desk } from "./run-cli.ts";

let desk: Desk;
beforeEach(async () => {
  desk = await Desk.open();
  await desk.engage();
});
afterEach(async () => {
  await desk.close();
});

const build = (...paths: readonly string[]) => ["package", "build", "acme-2026", ...paths, "--name", "p"];

describe("evidence that cannot be sealed as it is", () => {
  test("a missing path is named", async () => {
    const failure = await desk.failure(...build("no-such"));
    expect(failure.code).toBe("PATH_NOT_FOUND");
    expect(failure.message).toContain("no-such");
    expect(failure.nextStep).not.toBe("");
  });

  test("a socket is not evidence", async () => {
    const server = createServer().listen(desk.path("socket"));
    await new Promise((done) => server.once("listening", done));
    const failure = await desk.failure(...build("socket"));
    expect(failure.code).toBe("PATH_NOT_EVIDENCE");
    expect(failure.message).toContain("socket");
    server.close();
  });

  test("a symbolic link is never followed", async () => {
    await desk.write("secret.txt", "secret");
    await mkdir(desk.path("evidence"));
    await symlink("../secret.txt", desk.path("evidence", "link"));
    await desk.write("evidence/real.txt", "real");
    const id = await desk.build("acme-2026", "p", "evidence");
    expect(await desk.value("package", "files", id)).toMatchObject({
      total: 1,
      files: [{ path: "data/evidence/real.txt" }],
    });
    expect((await desk.failure(...build("evidence/link"))).code).toBe("PATH_NOT_EVIDENCE");
  });

  test("a name that is not valid Unicode blocks, unless it is to be stored by its bytes", async () => {
    await mkdir(desk.path("evidence"));
    await writeFile(Buffer.concat([Buffer.from(`${desk.path("evidence")}/caf`), Buffer.from([0xe9])]), "x");
    expect((await desk.failure(...build("evidence"))).code).toBe("PREFLIGHT_BLOCKED");
    const built = await desk.value(...build("evidence"), "--store-non-unicode");
    expect(built.package).toMatchObject({ files: 1 });
  });

  test("an unreadable file is named", async () => {
    const path = await desk.write("evidence/locked.txt", "x");
    await chmod(path, 0);
    const { exitCode, err } = await desk.run(build("evidence"), { obeyPermissions: true });
    expect(exitCode).toBe(2);
    expect(err).toContain("evidence/locked.txt");
    expect(await desk.value("package", "list")).toEqual([]);
  });

  test("a file that changes while it is read stops the seal", async () => {
    const path = await desk.write("growing.log", "x".repeat(1024));
    await truncate(path, 2 * 1024 ** 3);
    const growing = await open(path, "a");
    const timer = setInterval(() => growing.appendFile("more\n"), 20);
    const failure = await desk.failure(...build("growing.log"), "--reference");
    clearInterval(timer);
    await growing.close();
    expect(failure.code).toBe("SOURCE_CHANGED");
    expect(JSON.stringify(failure)).toContain("growing.log");
  });
});

describe("evidence that is odd but true", () => {
  test("names with newlines, percent signs, spaces at the end, 255 bytes; zero bytes; an empty folder", async () => {
    const names = [
      "new\nline",
      "100%",
      "%0A",
      "trailing ",
      "n".repeat(255),
      "-dash",
      "quote'\"",
      "\u001b[2J",
    ];
    for (const name of names) await desk.write(join("evidence", name), name);
    await desk.write("evidence/zero", "");
    await mkdir(desk.path("evidence", "empty"));
    const id = await desk.build("acme-2026", "p", "evidence");
    expect(await desk.value("package", "files", id)).toMatchObject({ total: names.length + 1 });
    const shown = await desk.run(["package", "files", id]);
    expect(shown.out).not.toContain("\u001b");
    expect(shown.out).toContain("data/evidence/new\\nline\n");

    await desk.value("package", "push", id);
    const pulled = await desk.value("package", "pull", id, "--to", desk.path("review"));
    expect(await desk.value("verify", String(pulled.path))).toMatchObject({ verdict: "valid" });
    const written = await readdir(join(String(pulled.path), "data", "evidence"));
    expect(written.sort()).toEqual([...names, "zero", "empty"].sort());
  });

  test("names that differ only in Unicode form block, since no system can be told to keep both", async () => {
    for (const name of ["caf\u00e9", "cafe\u0301"]) await desk.write(join("evidence", name), name);
    const failure = await desk.failure(...build("evidence"));
    expect(failure.code).toBe("PREFLIGHT_BLOCKED");
    expect(failure.message).toContain("caf\u00e9");
  });

  test("names that differ only in case are reported and kept apart", async () => {
    for (const name of ["README", "readme"]) await desk.write(join("evidence", name), name);
    const { preflight } = await desk.value(...build("evidence"), "--dry-run");
    expect(preflight).toMatchObject({ findings: [{ severity: "warning" }] });
    const id = await desk.build("acme-2026", "p", "evidence");
    expect(await desk.value("package", "files", id)).toMatchObject({ total: 2 });
    expect(await desk.value("verify", id)).toMatchObject({ verdict: "valid" });
  });

  test("litter is left out and said so, or taken along", async () => {
    await desk.write("evidence/.DS_Store", "x");
    await desk.write("evidence/a.txt", "x");
    const left = await desk.value(...build("evidence"), "--dry-run");
    expect(left.preflight).toMatchObject({ files: 1, omitted: 1 });
    const taken = await desk.value(...build("evidence"), "--dry-run", "--include-litter");
    expect(taken.preflight).toMatchObject({ files: 2, omitted: 0 });
  });
});

describe("archives that lie", () => {
  async function hostileTar(...tarArguments: readonly string[]): Promise<string> {
    const path = desk.path("hostile.tar");
    execFileSync("tar", ["-cf", path, ...tarArguments], { cwd: desk.folder, stdio: "pipe" });
    return path;
  }

  test("truncated and padded archives of a package are not valid", async () => {
    await desk.write("a.txt", "one\n".repeat(10_000));
    const id = await desk.build("acme-2026", "p", "a.txt");
    await desk.value("package", "push", id);
    const pulled = await desk.value("package", "pull", id, "--to", desk.path("review"), "--as", "tar");
    const tar = String(pulled.path);
    expect(await desk.value("verify", tar)).toMatchObject({ verdict: "valid" });
    const { size } = await open(tar, "r").then(async (file) => {
      const found = await file.stat();
      await file.close();
      return found;
    });
    await truncate(tar, size + 512);
    expect((await desk.run(["verify", tar])).exitCode).toBe(1);
    await truncate(tar, size - 1024);
    expect((await desk.run(["verify", tar])).exitCode).toBe(1);
  });

  test.each([
    ["traversal", ["--absolute-names", "--transform=s,x,bag/../../x,", "x"]],
    ["absolute", ["--absolute-names", "--transform=s,x,/etc/x,", "x"]],
    ["symlink", ["link"]],
    ["hardlink", ["x", "hard"]],
  ])("a tar with a %s entry is refused and writes nothing", async (_, args) => {
    await desk.write("x", "x");
    await symlink("/etc/passwd", desk.path("link"));
    execFileSync("ln", [desk.path("x"), desk.path("hard")]);
    const tar = await hostileTar(...args);
    const before = (await readdir(desk.folder)).sort();
    const verified = await desk.run(["verify", tar, "--json"]);
    expect(verified.exitCode).not.toBe(0);
    expect((await desk.run(["package", "import", tar])).exitCode).not.toBe(0);
    expect((await readdir(desk.folder)).sort()).toEqual(before);
  });

  test("a file that is no archive could not be verified", async () => {
    const path = await desk.write("noise.tar", "this is not a tar".repeat(100));
    const { exitCode, out } = await desk.run(["verify", path]);
    expect(exitCode).toBe(2);
    expect(out).toBe("COULD NOT BE VERIFIED\n");
  });
});

describe("a state folder that cannot be used", () => {
  test("a home that is a file", async () => {
    const env = { STRONGROOM_HOME: await desk.write("home-file", "x") };
    const { exitCode, out } = await desk.run(["package", "list", "--json"], { env });
    expect(exitCode).toBe(2);
    expect(JSON.parse(out)).toMatchObject({ ok: false, failure: { code: "HOME_UNUSABLE" } });
  });

  test("a read-only home", async () => {
    const env = { STRONGROOM_HOME: "/sys/strongroom" };
    const { exitCode, out } = await desk.run(["package", "list", "--json"], { env });
    expect(exitCode).toBe(2);
    const { failure } = JSON.parse(out);
    expect(["HOME_UNUSABLE", "WRITE_REFUSED"]).toContain(failure.code);
    expect(failure.message).toContain("/sys/strongroom");
  });

  test.each(["ledger.db", "catalog.db"])("a %s from the future is refused by name", async (database) => {
    const { default: Database } = await import("better-sqlite3");
    const opened = new Database(join(desk.home, database));
    opened.pragma("user_version = 999999");
    opened.close();
    const failure = await desk.failure("package", "list");
    expect(failure.code).toBe("DATABASE_NEWER");
    expect(failure.message).toContain(database);
  });

  test("a package folder that cannot be read is told of, and the others are listed", async () => {
    await desk.write("a.txt", "x");
    const [bad, good] = [
      await desk.build("acme-2026", "p", "a.txt"),
      await desk.build("acme-2026", "p", "a.txt"),
    ];
    const folder = join(desk.home, "packages", bad);
    await writeFile(join(folder, "seal.json"), "{}");
    for (const more of ["", "-wal", "-shm"]) await rm(join(desk.home, `catalog.db${more}`), { force: true });
    const { out, err, exitCode } = await desk.run(["package", "list"]);
    expect(exitCode).toBe(0);
    expect(out).toContain(good);
    expect(err).toContain(`warning: Package ${bad} is damaged on this device: ${folder}`);
    expect(err).toContain("next: Keep the folder as it is; restore the package from a backup");
    expect(JSON.parse((await desk.run(["package", "list", "--json"])).out)).toMatchObject({
      ok: true,
      value: [{ id: good }],
      warnings: [{ code: "PACKAGE_DAMAGED", subject: folder }],
    });
    expect((await desk.failure("verify", bad)).code).toBe("PACKAGE_DAMAGED");
  });

  test("a ledger that is gone is not begun anew beside packages", async () => {
    await desk.write("a.txt", "x");
    const id = await desk.build("acme-2026", "p", "a.txt");
    await desk.value("backup", "--to", desk.path("backup"));
    for (const more of ["", "-wal", "-shm"]) await rm(join(desk.home, `ledger.db${more}`), { force: true });
    for (const args of [["package", "list"], ["engagement", "create", "acme-2026"], build("a.txt")]) {
      expect((await desk.failure(...args)).code).toBe("LEDGER_MISSING");
    }
    await desk.value("restore", "--from", desk.path("backup"));
    expect(await desk.value("package", "push", id)).toMatchObject({ vault: "office" });
  });

  test("a full disk is called full, whatever SQLite calls it", async () => {
    if (process.getuid?.() !== 0) return;
    const disk = desk.path("disk");
    await mkdir(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", disk]);
    try {
      const env = { STRONGROOM_HOME: join(disk, "home") };
      expect((await desk.run(["engagement", "create", "acme-2026"], { env })).exitCode).toBe(0);
      await writeFile(join(disk, "rest"), "x".repeat(3_000_000)).catch(() => undefined);
      const { out } = await desk.run(["package", "list", "--json"], { env });
      expect(JSON.parse(out)).toMatchObject({ ok: false, failure: { code: "DISK_FULL" } });
    } finally {
      execFileSync("umount", [disk]);
    }
  });

  test("a damaged ledger is never emptied", async () => {
    await writeFile(join(desk.home, "ledger.db"), "this is no database".repeat(1000));
    expect((await desk.failure("package", "list")).code).toBe("DATABASE_DAMAGED");
  });
});

describe("names that do not exist", () => {
  test.each([
    [["engagement", "show", "nobody"], "ENGAGEMENT_NOT_FOUND"],
    [["engagement", "create", "acme-2026"], "ENGAGEMENT_EXISTS"],
    [["engagement", "create", "other", "--vault", "nowhere"], "VAULT_NOT_FOUND"],
    [["vault", "health", "nowhere"], "VAULT_NOT_FOUND"],
    [["vault", "add", "folder", "office", "--path", "vault"], "VAULT_EXISTS"],
    [["package", "show", "ffffffff"], "PACKAGE_NOT_FOUND"],
    [["package", "push", "ffffffff"], "PACKAGE_NOT_FOUND"],
    [["verify", "no-such-thing"], "PATH_NOT_FOUND"],
    [["package", "import", "no-such.tar"], "PATH_NOT_FOUND"],
    [["restore", "--from", "no-such"], "PATH_NOT_FOUND"],
  ])("%j: %s", async (args, code) => {
    const failure = await desk.failure(...args);
    expect(failure.code).toBe(code);
    expect(failure.nextStep).not.toBe("");
  });
});
