import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * The whole way of a package, with the real command line and nothing else, in a folder that is removed at the end:
 * seal, store, fetch, verify with us and without us, break a byte, see it found, export the list.
 */

const ROOT = resolve(fileURLToPath(import.meta.url), "../..");
const EVIDENCE = join(ROOT, "resources", "sample-evidence");
const LINE_COLUMNS = 100;

/** A step that did not end as the demo promises. */
class DemoError extends Error {}

function step(title: string): void {
  console.log(`\n── ${title} ${"─".repeat(Math.max(3, LINE_COLUMNS - 4 - title.length))}\n`);
}

function indented(text: string): string {
  return text
    .trimEnd()
    .replaceAll("\r", "")
    .replace(/^(?=.)/gm, "  ");
}

interface Desk {
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
}

/** Shows a command as a person would type it, runs it, shows what it says. */
function show(desk: Desk, program: string, args: readonly string[], expected = 0, cwd = desk.folder): string {
  console.log(`$ ${[program, ...args.map((arg) => (/\s/.test(arg) ? `"${arg}"` : arg))].join(" ")}`);
  const executable = program === "strongroom" ? join(ROOT, "bin", "strongroom") : program;
  const { status, stdout, stderr, error } = spawnSync(executable, args, {
    cwd,
    env: desk.env,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  if (error !== undefined) throw error;
  const said = `${stdout}${stderr}`;
  if (said.trim() !== "") console.log(`${indented(said)}\n`);
  if (status !== expected) throw new DemoError(`this should have ended with ${expected}, not ${status}`);
  return stdout;
}

function firstLine(text: string): string {
  return text.split("\n")[0] ?? "";
}

/** Changes one byte in the middle of a file and leaves its size as it is. */
function breakOneByte(path: string): void {
  const bytes = readFileSync(path);
  const middle = Math.floor(bytes.length / 2);
  bytes[middle] = (bytes[middle] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}

function demo(desk: Desk): void {
  const strongroom = (args: readonly string[], expected = 0) => show(desk, "strongroom", args, expected);

  step("1. A vault to keep packages in, and an engagement");
  show(desk, "mkdir", ["office-vault"]);
  strongroom(["vault", "add", "folder", "office", "--path", "office-vault"]);
  const client = ["--name", "Northwind access audit", "--client", "Northwind Foods", "--vault", "office"];
  strongroom(["engagement", "create", "northwind-2026", ...client]);

  step("2. Seal the evidence");
  const title = ["--name", "access-review", "--title", "Access review, first quarter"];
  const classed = ["--phase", "01_recon", "--class", "raw-evidence", "--meta", "run_id=demo"];
  const built = strongroom(["package", "build", "northwind-2026", EVIDENCE, ...title, ...classed]);
  const id = firstLine(built);

  step("3. Store it in the vault, and fetch it elsewhere");
  strongroom(["package", "push", id]);
  strongroom(["package", "pull", id, "--to", "review"]);

  step("4. Verify what was fetched: with Strongroom, and without it");
  strongroom(["verify", "review/access-review"]);
  const bag = join(desk.folder, "review", "access-review");
  console.log("\n$ cd review/access-review");
  show(desk, "sha256sum", ["-c", "manifest-sha256.txt"], 0, bag);

  step("5. Change one byte: the verdict names the file");
  const log = "data/sample-evidence/logs/identity-provider-2026-03-11.log";
  breakOneByte(join(bag, log));
  console.log(`(one bit of ${log} is flipped; its size stays the same)\n`);
  strongroom(["verify", "review/access-review"], 1);

  step("6. Export the list of files");
  strongroom(["manifest", "export", id, "--format", "csv", "--out", "access-review.csv"]);
  show(desk, "head", ["-n", "3", "access-review.csv"]);
}

function main(): number {
  const began = performance.now();
  const folder = mkdtempSync(join(tmpdir(), "strongroom-demo-"));
  const env = { ...process.env, STRONGROOM_HOME: join(folder, "home") };
  try {
    demo({ folder, env });
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    console.log(`\nSealed, stored, fetched, verified twice, tampered with and found out: ${seconds} s.\n`);
    return 0;
  } catch (error) {
    if (!(error instanceof DemoError)) throw error;
    console.error(`\ndemo: ${error.message}`);
    return 1;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

process.exitCode = main();
