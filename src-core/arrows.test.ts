import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, describe, expect, test } from "vitest";

const ROOT = resolve(fileURLToPath(import.meta.url), "../..");
/** Holds imports as examples, so it is not searched for them. */
const THIS_FILE = "src-core/arrows.test.ts";
const CORE_DOOR = "src-core/open-vault.ts";

interface Arrows {
  /** Own folders, beside itself, that a folder may import; a single file where only that one is open. */
  readonly own: readonly string[];
  /** May it import Node's own modules? */
  readonly node: boolean;
  /** Libraries it may import; where there is no list, all but `never`. */
  readonly only?: readonly string[];
  readonly never?: readonly string[];
}

const FACE_LIBRARIES = ["electron", "react", "react-dom", "commander"];

/** DESIGN section 3: contract <- core <- {main, host, cli}, contract <- {preload, renderer}; faces never import each other. */
const TABLE: Readonly<Record<string, Arrows>> = {
  "src-contract": { own: [], node: false, only: ["zod"] },
  "src-core": { own: ["src-contract"], node: true, never: FACE_LIBRARIES },
  "src-main": { own: ["src-contract", CORE_DOOR], node: true, never: ["react", "react-dom", "commander"] },
  "src-preload": { own: ["src-contract"], node: false, only: ["electron"] },
  "src-renderer": { own: ["src-contract"], node: false, never: ["electron", "commander"] },
  "src-host": { own: ["src-contract", CORE_DOOR], node: true, never: FACE_LIBRARIES },
  "src-cli": { own: ["src-contract", CORE_DOOR], node: true, only: ["commander"] },
};

/** What tests may import besides, anywhere. */
const TEST_LIBRARIES = ["vitest", "fast-check", "yazl"];

/** Every module that a source names: static and dynamic imports, re-exports, and files opened by URL, such as workers. */
const IMPORTS =
  /(?:\bfrom\s*|\bimport\s*\(\s*|^\s*import\s+|\bnew URL\(\s*)["']([^"']+)["'](?:\s*,\s*import\.meta\.url)?/gm;

async function sources(): Promise<string[]> {
  const folders = (await readdir(ROOT)).filter((name) => name.startsWith("src-"));
  const found = await Promise.all(folders.map((folder) => readdir(join(ROOT, folder), { recursive: true })));
  return found
    .flatMap((files, index) => files.map((file) => join(folders[index] ?? "", file)))
    .filter((file) => /\.tsx?$/.test(file) && file !== THIS_FILE);
}

function libraryName(specifier: string): string {
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

function isTestOnly(file: string): boolean {
  return /\.test\.tsx?$|(^|\/)testing\/|-(fixtures|child)\.ts$/.test(file);
}

/** Why `file` must not import `specifier`; null when it may. */
function objection(file: string, specifier: string): string | null {
  const folder = file.split(sep)[0] ?? "";
  const arrows = TABLE[folder];
  if (arrows === undefined) return `${folder} is not in the table of arrows`;
  if (specifier.startsWith("data:") || specifier.startsWith("http")) return null;
  if (specifier.startsWith("node:")) {
    return arrows.node || isTestOnly(file) ? null : `${folder} knows no Node`;
  }
  if (!specifier.startsWith(".")) {
    const library = libraryName(specifier);
    if (isTestOnly(file) && TEST_LIBRARIES.includes(library)) return null;
    if (arrows.never?.includes(library)) return `${folder} must not import ${library}`;
    return arrows.only === undefined || arrows.only.includes(library)
      ? null
      : `${library} is not for ${folder}`;
  }
  const target = relative(ROOT, resolve(ROOT, dirname(file), specifier));
  if (!isTestOnly(file) && isTestOnly(target)) return "only tests import test fixtures";
  const within = target.split(sep)[0] ?? "";
  if (within === folder) return null;
  if (!within.startsWith("src-")) {
    return isTestOnly(file) || within === "package.json" ? null : `${within} is no part of the program`;
  }
  const allowed = arrows.own.some((own) => target === own || target.startsWith(`${own}/`));
  return allowed ? null : `${folder} must not import ${target}`;
}

describe("imports follow the arrows of DESIGN section 3", () => {
  test("in every source file", async () => {
    const files = await sources();
    expect(files.length).toBeGreaterThan(20);
    const broken: string[] = [];
    for (const file of files) {
      const text = await readFile(join(ROOT, file), "utf8");
      for (const [, specifier = ""] of text.matchAll(IMPORTS)) {
        const reason = objection(file, specifier);
        if (reason !== null) broken.push(`${file} imports ${specifier}: ${reason}`);
      }
    }
    expect(broken).toEqual([]);
  });

  test.each([
    ["src-contract/x.ts", "node:fs"],
    ["src-contract/x.ts", "../src-core/failing.ts"],
    ["src-contract/x.ts", "mime-types"],
    ["src-core/package/x.ts", "../../src-cli/run.ts"],
    ["src-core/x.ts", "electron"],
    ["src-core/x.ts", "electron/main"],
    ["src-core/x.ts", "./testing/build-evidence.ts"],
    ["src-core/x.ts", "../bench/measure.ts"],
    ["src-cli/commands/x.ts", "../../src-core/failing.ts"],
    ["src-cli/x.ts", "../src-main/window.ts"],
    ["src-cli/x.ts", "better-sqlite3"],
    ["src-renderer/x.tsx", "node:path"],
    ["src-new/x.ts", "zod"],
  ])("%s may not import %s", (file, specifier) => {
    expect(objection(file, specifier)).not.toBeNull();
  });

  test.each([
    ["src-core/package/x.ts", "../../src-contract/seal.ts"],
    ["src-core/package/x.test.ts", "../testing/build-evidence.ts"],
    ["src-cli/main.ts", "../src-core/open-vault.ts"],
    ["src-contract/x.ts", "zod"],
  ])("%s may import %s", (file, specifier) => {
    expect(objection(file, specifier)).toBeNull();
  });
});

describe("the core needs no Electron", () => {
  const homes: string[] = [];
  afterAll(async () => {
    for (const home of homes) await rm(home, { recursive: true });
  });

  test("a vault opens in plain Node where electron cannot be resolved", async () => {
    const home = await mkdtemp(join(tmpdir(), "strongroom-arrows-"));
    homes.push(home);
    const script = `
      import { registerHooks } from "node:module";
      registerHooks({
        resolve(specifier, context, next) {
          if (specifier === "electron" || specifier.startsWith("electron/")) throw new Error("no electron here");
          return next(specifier, context);
        },
      });
      const electron = await import("electron").then(() => "resolved", () => "cannot be resolved");
      const { openVault } = await import(${JSON.stringify(pathToFileURL(join(ROOT, CORE_DOOR)).href)});
      const opened = await openVault({ home: ${JSON.stringify(home)} });
      if (!opened.ok) throw new Error(JSON.stringify(opened.failure));
      const engagements = await opened.value.engagementList({});
      await opened.value.close();
      process.stdout.write(JSON.stringify({ electron, engagements }));
    `;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", "--input-type=module", "--eval", script],
      { cwd: ROOT },
    );
    expect(JSON.parse(stdout)).toEqual({
      electron: "cannot be resolved",
      engagements: { ok: true, value: [] },
    });
  });
});
