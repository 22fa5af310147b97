import { execFileSync, spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FailureError } from "../failing.ts";
import type { PlanEntry } from "./plan-file.ts";
import { SourceWalk, type WalkRequest, type WalkResult } from "./walk-sources.ts";

let folder: string;
let home: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "strongroom-walk-"));
  home = join(folder, "home");
  mkdirSync(home);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const at = (path: string) => join(folder, path);
function write(path: string | Buffer, content = "x"): void {
  const file = typeof path === "string" ? at(path) : Buffer.concat([Buffer.from(`${folder}/`), path]);
  if (typeof file === "string") mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
}

interface Walked extends WalkResult {
  readonly paths: readonly string[];
  /** Code and path of every finding. */
  readonly found: readonly string[];
}

function walk(sources: readonly string[], more: Partial<WalkRequest> = {}): Walked {
  const entries: PlanEntry[] = [];
  const request = { sources, home, includeLitter: false, storeNonUnicode: false, ...more };
  const result = new SourceWalk(
    request,
    (entry) => entries.push(entry),
    () => undefined,
  ).run();
  const found = result.findings.all().map((finding) => `${finding.code} ${finding.path ?? ""}`);
  return { ...result, paths: entries.map(({ path }) => path), found };
}

function refusal(sources: readonly string[]) {
  try {
    walk(sources);
  } catch (error) {
    if (error instanceof FailureError) return error.failure;
    throw error;
  }
  throw new Error("the walk should have refused");
}

describe("order", () => {
  test("is bytewise by whole path, also where a folder's name is the beginning of a file's", () => {
    for (const name of ["a/x", "a.txt", "a-b", "a0", "B", "b/2/y", "b/10", "\u{1f600}", "\uffee", "é"])
      write(`ev/${name}`);
    const { paths } = walk([at("ev")]);
    const bytewise = [...paths].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(paths).toEqual(bytewise);
    expect(paths).toHaveLength(10);
    expect(paths.slice(1, 5)).toEqual(["data/ev/a-b", "data/ev/a.txt", "data/ev/a/x", "data/ev/a0"]);
  });

  test("does not depend on the order in which sources are named", () => {
    write("a/x");
    write("a.txt");
    write("z");
    const names = ["z", "a", "a.txt"].map(at);
    expect(walk(names).paths).toEqual(["data/a.txt", "data/a/x", "data/z"]);
    expect(walk([...names].reverse()).paths).toEqual(walk(names).paths);
  });
});

describe("how a source may be named", () => {
  test("with a slash at its end, relatively, and through `..`", () => {
    write("ev/a");
    const relative = execFileSync("realpath", ["--relative-to", process.cwd(), at("ev")], {
      encoding: "utf8",
    }).trim();
    for (const name of [
      `${at("ev")}/`,
      relative,
      join(folder, "ev", "..", "ev", "."),
      `${at("home")}/../ev//`,
    ]) {
      expect(walk([name]).paths).toEqual(["data/ev/a"]);
      expect(walk([name]).sources).toEqual([{ name: "ev", path: at("ev") }]);
    }
  });

  test("as a file, which stands under its own name", () => {
    write("ev/deep/one.txt", "12345");
    expect(walk([at("ev/deep/one.txt")])).toMatchObject({ paths: ["data/one.txt"], files: 1, bytes: 5 });
  });

  test("but not twice, and not under the name of another source", () => {
    write("ev/a");
    write("other/ev/a");
    const twice = walk([at("ev"), `${at("ev")}/`]);
    expect(twice.findings.all()).toMatchObject([
      { code: "SAME_NAME_TWICE", severity: "error", message: expect.stringContaining("named twice") },
    ]);
    expect(walk([at("ev"), at("other/ev")]).found).toEqual(["SAME_NAME_TWICE data/ev"]);
  });

  test("beside a folder that holds it, which is said, since the package holds it twice then", () => {
    write("ev/deep/a");
    const both = walk([at("ev/deep"), at("ev")]);
    expect(both.paths).toEqual(["data/deep/a", "data/ev/deep/a"]);
    expect(both.findings.all()).toMatchObject([
      { code: "SOURCES_OVERLAP", severity: "warning", path: "data/deep" },
    ]);
  });

  test("not as something that is not there, not as the root, and not below a file", () => {
    write("file");
    expect(refusal([at("gone")])).toMatchObject({ code: "PATH_NOT_FOUND", subject: at("gone") });
    expect(refusal([at("file/below")])).toMatchObject({ code: "PATH_NOT_FOUND" });
    expect(refusal(["/"])).toMatchObject({ code: "INVALID_INPUT" });
  });

  test("not inside the state folder, nor around it, whatever way leads there", () => {
    write("home/packages/x");
    symlinkSync(folder, join(tmpdir(), `${folder.split("/").pop()}-link`));
    const link = join(tmpdir(), `${folder.split("/").pop()}-link`);
    try {
      for (const source of [
        folder,
        home,
        at("home/packages"),
        at("home/packages/x"),
        join(link, "home", "packages"),
      ]) {
        expect(refusal([source])).toMatchObject({
          code: "INVALID_INPUT",
          message: expect.stringContaining("state folder"),
        });
      }
    } finally {
      rmSync(link);
    }
    write("home-2/x");
    expect(walk([at("home-2")]).paths).toEqual(["data/home-2/x"]);
  });
});

describe("what is no evidence", () => {
  async function plantSpecials(): Promise<() => void> {
    write("ev/real");
    symlinkSync("real", at("ev/link"));
    symlinkSync("nowhere", at("ev/dangling"));
    symlinkSync("..", at("ev/loop"));
    execFileSync("mkfifo", [at("ev/pipe")]);
    const server = createServer().listen(at("ev/socket"));
    await new Promise((resolve) => server.once("listening", resolve));
    return () => void server.close();
  }

  test("is refused by its kind when it is named itself", async () => {
    const close = await plantSpecials();
    expect(refusal([at("ev/pipe")])).toMatchObject({
      code: "PATH_NOT_EVIDENCE",
      message: expect.stringContaining("pipe"),
    });
    expect(refusal([at("ev/socket")])).toMatchObject({
      code: "PATH_NOT_EVIDENCE",
      message: expect.stringContaining("socket"),
    });
    expect(refusal([at("ev/link")])).toMatchObject({
      code: "PATH_NOT_EVIDENCE",
      message: expect.stringContaining("symbolic link"),
    });
    expect(refusal(["/dev/null"])).toMatchObject({
      code: "PATH_NOT_EVIDENCE",
      message: expect.stringContaining("device"),
    });
    close();
  });

  test("is left out of a folder, reported and recorded; links are never followed", async () => {
    const close = await plantSpecials();
    const walked = walk([at("ev")]);
    expect(walked.paths).toEqual(["data/ev/real"]);
    expect(walked.omitted).toEqual([
      { path: "data/ev/dangling", reason: "symlink" },
      { path: "data/ev/link", reason: "symlink" },
      { path: "data/ev/loop", reason: "symlink" },
      { path: "data/ev/pipe", reason: "special-file" },
      { path: "data/ev/socket", reason: "special-file" },
    ]);
    expect(walked.found).toHaveLength(5);
    close();
  });

  test("litter is left out by default and taken along on demand; a folder of that name is no litter", () => {
    for (const name of [".DS_Store", "Thumbs.db", "._x", "._", "thumbs.db", "DS_Store", "._folder/kept"])
      write(`ev/${name}`);
    const without = walk([at("ev")]);
    expect(without.paths).toEqual(["data/ev/._folder/kept", "data/ev/DS_Store", "data/ev/thumbs.db"]);
    expect(without.omitted.map(({ path }) => path)).toEqual([
      "data/ev/.DS_Store",
      "data/ev/._",
      "data/ev/._x",
      "data/ev/Thumbs.db",
    ]);
    const all = walk([at("ev")], { includeLitter: true });
    expect(all.files).toBe(7);
    expect(all.findings.count("LITTER_INCLUDED")).toBe(4);
  });

  test("folders without content are listed; where there is nothing else, nothing can be sealed", () => {
    mkdirSync(at("ev/a/b/c"), { recursive: true });
    mkdirSync(at("ev/d"));
    const empty = walk([at("ev")]);
    expect(empty.emptyFolders).toEqual(["data/ev/a/b/c", "data/ev/d"]);
    expect(empty.found).toEqual(["NOTHING_TO_SEAL data"]);
    write("ev/a/.DS_Store");
    write("file");
    expect(walk([at("ev"), at("file")])).toMatchObject({
      emptyFolders: ["data/ev/a/b/c", "data/ev/d"],
      files: 1,
    });
  });
});

test("another user's unreadable files and folders are named before anything is read", async () => {
  if (process.getuid?.() !== 0) return;
  write("ev/locked", "x");
  write("ev/open", "x");
  write("ev/closed/inside", "x");
  chmodSync(at("ev/locked"), 0o600);
  chmodSync(at("ev/closed"), 0o700);
  chmodSync(folder, 0o755);
  const script = `
    const { SourceWalk } = await import(${JSON.stringify(new URL("./walk-sources.ts", import.meta.url).href)});
    process.setgid(65534); process.setuid(65534);
    const request = { sources: [${JSON.stringify(at("ev"))}], home: ${JSON.stringify(home)}, includeLitter: false, storeNonUnicode: false };
    const { findings } = new SourceWalk(request, () => undefined, () => undefined).run();
    console.log(JSON.stringify(findings.all().map(({ code, path }) => code + " " + path)));`;
  const child = spawn(process.execPath, [
    "--disable-warning=ExperimentalWarning",
    "--input-type=module",
    "-e",
    script,
  ]);
  let output = "";
  child.stdout.on("data", (text) => {
    output += text;
  });
  await new Promise((resolve) => child.on("close", resolve));
  expect(JSON.parse(output)).toEqual(["UNREADABLE data/ev/closed", "UNREADABLE data/ev/locked"]);
});

test("a tree deeper than the system can name is reported, and does not end the walk", () => {
  mkdirSync(at("ev"));
  write("ev/zz");
  // Made from inside, name by name, since no single path reaches the end.
  execFileSync(
    "python3",
    ["-c", "import os\nfor i in range(45):\n os.mkdir('d'*100); os.chdir('d'*100)\nopen('end','w')"],
    { cwd: at("ev") },
  );
  const walked = walk([at("ev")]);
  expect(walked.paths).toContain("data/ev/zz");
  expect(walked.found.filter((found) => found.startsWith("UNREADABLE"))).toHaveLength(1);
  expect(walked.findings.count("LONG_PATH")).toBeGreaterThan(30);
});
