import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seeToPackages } from "./system-packages.ts";

/** The stages in the order in which they fail fastest; each is a project of vitest.config.ts. */
const STAGES = ["unit", "conformance", "e2e", "keychain", "s3"] as const;

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

interface StageResult extends Counts {
  readonly stage: string;
  readonly seconds: number;
}

function numberAt(report: unknown, key: string): number {
  const value: unknown = Reflect.get(Object(report), key);
  if (typeof value !== "number") throw new Error(`vitest's report has no number ${key}`);
  return value;
}

/** Runs a program with its output on this terminal; answers with its exit code. */
function runProgram(program: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: "inherit" });
    child.on("error", reject);
    child.on("close", (code) => resolve(code ?? 1));
  });
}

/** Runs one stage. A stage that dies before it reports, or fails outside its tests, counts as one failure. */
async function runStage(stage: string, folder: string): Promise<StageResult> {
  const began = performance.now();
  const reportFile = join(folder, `${stage}.json`);
  const vitest = join("node_modules", "vitest", "vitest.mjs");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${reportFile}`];
  const args = [vitest, "run", "--project", stage, "--passWithNoTests", ...reporters];
  const exitCode = await runProgram(process.execPath, args);
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  try {
    const report: unknown = JSON.parse(await readFile(reportFile, "utf8"));
    counts.passed = numberAt(report, "numPassedTests");
    counts.failed = numberAt(report, "numFailedTests");
    counts.skipped = numberAt(report, "numPendingTests") + numberAt(report, "numTodoTests");
  } catch (error) {
    console.error(
      `${stage}: vitest left no report (${error instanceof Error ? error.message : String(error)})`,
    );
    counts.failed = 1;
  }
  if (exitCode !== 0 && counts.failed === 0) counts.failed = 1;
  return { stage, seconds: (performance.now() - began) / 1000, ...counts };
}

function countsText({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/** What is missing lets tests be skipped, each with its own message; where CI=true is set it is a failure. */
async function prepare(): Promise<StageResult> {
  const began = performance.now();
  const missing = await seeToPackages(process.env);
  const failed = process.env.CI === "true" ? missing.length : 0;
  return { stage: "packages", seconds: (performance.now() - began) / 1000, passed: 0, failed, skipped: 0 };
}

async function main(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "strongroom-test-"));
  const results: StageResult[] = [];
  try {
    console.log("\n== packages");
    results.push(await prepare());
    for (const stage of STAGES) {
      console.log(`\n== ${stage}`);
      results.push(await runStage(stage, folder));
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  const total: Counts = { passed: 0, failed: 0, skipped: 0 };
  console.log("");
  for (const result of results) {
    total.passed += result.passed;
    total.failed += result.failed;
    total.skipped += result.skipped;
    console.log(
      `${result.stage.padEnd(12)} ${result.seconds.toFixed(1).padStart(7)} s   ${countsText(result)}`,
    );
  }
  console.log("");
  console.log(countsText(total));
  return total.failed === 0 ? 0 : 1;
}

process.exitCode = await main();
