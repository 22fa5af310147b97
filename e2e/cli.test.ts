import type { ChildProcess } from "node:child_process";
import { open, readdir, readlink, symlink } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Desk, ROOT, runProgram } from "./run-cli.ts";

let desk: Desk;
beforeEach(async () => {
  desk = await Desk.open();
});
afterEach(async () => {
  await desk.close();
});

/** Waits until a process has a file open (Linux). */
async function untilOpen(child: ChildProcess, path: string): Promise<void> {
  const folder = `/proc/${child.pid}/fd`;
  while (child.exitCode === null) {
    for (const descriptor of await readdir(folder)) {
      const target = await readlink(join(folder, descriptor)).catch(() => "closed meanwhile");
      if (target === path) return;
    }
    await setTimeout(20);
  }
}

describe("the launcher", () => {
  test("runs through symbolic links, absolute and relative", async () => {
    const bin = desk.path("bin");
    await desk.write("bin/keep", "");
    await symlink(join(ROOT, "bin", "strongroom"), join(bin, "direct"));
    await symlink("direct", join(bin, "indirect"));
    const { exitCode, out } = await runProgram(join(bin, "indirect"), ["--version"], { cwd: desk.folder });
    expect([exitCode, out]).toEqual([0, "0.1.0\n"]);
  });

  test("npx finds it", async () => {
    const { exitCode, out } = await runProgram("npx", ["--no-install", "strongroom", "--version"]);
    expect([exitCode, out.trim()]).toEqual([0, "0.1.0"]);
  });
});

describe("from evidence to a verified package", () => {
  test("build, list, show, files, push, pull, verify, export, hand over", async () => {
    await desk.engage();
    await desk.write("evidence/a.txt", "one\n");
    await desk.write("evidence/sub/b.csv", "x,y\n1,2\n");
    const built = await desk.run(["package", "build", "acme-2026", "evidence", "--name", "week-1"]);
    expect(built.exitCode).toBe(0);
    const id = built.out.split("\n")[0] ?? "";
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);

    expect((await desk.run(["package", "list"])).out).toContain(id);
    expect((await desk.value("package", "show", id.slice(0, 13))).id).toBe(id);
    expect(await desk.value("package", "files", id, "--search", "B.CSV")).toMatchObject({
      total: 1,
      files: [{ path: "data/evidence/sub/b.csv", size: 8 }],
    });
    expect(await desk.value("verify", id)).toMatchObject({ verdict: "valid" });
    expect(await desk.value("package", "push", id)).toMatchObject({ alreadyStored: false });
    expect(await desk.value("package", "push", id)).toMatchObject({ alreadyStored: true });
    expect((await desk.failure("verify", id, "--remote")).code).toBe("ATTESTED_ONLY");
    expect(await desk.value("verify", id, "--remote", "--accept-attested")).toMatchObject({
      verdict: "attested",
    });
    expect(await desk.value("verify", id, "--remote", "--full")).toMatchObject({ verdict: "valid" });

    const pulled = await desk.value("package", "pull", id, "--to", desk.path("review"));
    const verified = await desk.run(["verify", String(pulled.path)]);
    expect(verified.out).toMatch(/^VALID {2}/);
    expect(verified.exitCode).toBe(0);
    const sums = await runProgram("sha256sum", ["-c", "manifest-sha256.txt"], { cwd: String(pulled.path) });
    expect(sums.exitCode).toBe(0);

    const single = await desk.value(
      "package",
      "pull",
      id,
      "--to",
      desk.path("one"),
      "--file",
      "data/evidence/a.txt",
    );
    expect(single).toMatchObject({ files: 1, bytes: 4 });
    for (const format of ["json", "csv", "sha256sum", "bagit", "html"]) {
      const out = desk.path(`files.${format}`);
      expect(await desk.value("manifest", "export", id, "--format", format, "--out", out)).toMatchObject({
        out,
      });
    }
    const handed = await desk.value("package", "handover", id, "--to", desk.path("handover"));
    expect(handed.files).toContain("week-1.tar");
  });

  test("a changed byte is found and its file is named", async () => {
    await desk.engage();
    await desk.write("evidence/a.txt", "one\n");
    const id = await desk.build("acme-2026", "week-1", "evidence");
    await desk.value("package", "push", id);
    const pulled = await desk.value("package", "pull", id, "--to", desk.path("review"));
    await desk.write(`review/week-1/data/evidence/a.txt`, "two\n");
    const broken = await desk.run(["verify", String(pulled.path)]);
    expect(broken.exitCode).toBe(1);
    expect(broken.out).toMatch(/^NOT VALID {2}/);
    expect(broken.out).toContain("data/evidence/a.txt");
  });

  test("a backup restores into an empty home", async () => {
    await desk.engage();
    const evidence = await desk.write("a.txt", "one\n");
    const id = await desk.build("acme-2026", "week-1", evidence);
    expect(await desk.value("backup", "--to", desk.path("backup"))).toMatchObject({ packages: [id] });
    const env = { STRONGROOM_HOME: desk.path("second-home") };
    const restored = await desk.run(["restore", "--from", desk.path("backup"), "--json"], { env });
    expect(JSON.parse(restored.out)).toMatchObject({ ok: true, value: { packages: [id] } });
    const verified = await desk.run(["verify", id], { env });
    expect(verified.out).toMatch(/^VALID {2}/);
  });
});

describe("streams", () => {
  test("a reader that leaves ends the program quietly", async () => {
    const { exitCode, out, err } = await runProgram("sh", [
      "-c",
      `"${join(ROOT, "bin", "strongroom")}" --help | head -n 1`,
    ]);
    expect([exitCode, err]).toEqual([0, ""]);
    expect(out).toMatch(/^Usage: strongroom/);
  });

  test("a full disk behind the output is a failure", async () => {
    const { exitCode, err } = await runProgram("sh", [
      "-c",
      `"${join(ROOT, "bin", "strongroom")}" --help > /dev/full`,
    ]);
    expect(exitCode).toBe(2);
    expect(err).toContain("error: The output could not be written");
  });

  test("SIGINT at the launcher's own process id ends a build with CANCELLED and leaves no package", async () => {
    await desk.engage();
    const large = await open(desk.path("large.bin"), "w");
    await large.truncate(64 * 1024 ** 3);
    await large.close();
    const args = ["package", "build", "acme-2026", "large.bin", "--name", "large", "--reference", "--json"];
    const stopped = await desk.run(args, {
      onStart: async (child) => {
        await untilOpen(child, desk.path("large.bin"));
        child.kill("SIGINT");
      },
    });
    expect(stopped.exitCode).toBe(2);
    expect(JSON.parse(stopped.out)).toMatchObject({ ok: false, failure: { code: "CANCELLED" } });
    const listed = await desk.run(["package", "list", "--json"]);
    expect(JSON.parse(listed.out)).toEqual({ ok: true, value: [] });
  });
});
