import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = resolve(fileURLToPath(import.meta.url), "../..");
const STRONGROOM = join(ROOT, "bin", "strongroom");
const GNU_TIME = "/usr/bin/time";

/** A bench that cannot go on: its message says why. */
export class BenchError extends Error {}

/** One whole process, from its start to its end. */
export interface Run {
  readonly wallSeconds: number;
  /** User and system time of the process and of those it waited for. */
  readonly cpuSeconds: number;
  /** Of the largest process, where there were several. */
  readonly peakBytes: number;
  readonly stdout: string;
}

export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** Runs a program under GNU time. Throws BenchError when it does not end with 0: a failed run is no measurement. */
export function measure(program: Program, scratch: string): Run {
  if (!existsSync(GNU_TIME)) throw new BenchError(`${GNU_TIME} is needed (Debian: apt-get install time)`);
  const report = join(scratch, "time.txt");
  const begun = performance.now();
  const { status, stdout, stderr } = spawnSync(
    GNU_TIME,
    ["-q", "-o", report, "-f", "%U %S %M", program.command, ...program.args],
    { cwd: program.cwd, env: program.env ?? process.env, encoding: "utf8", maxBuffer: 256 * 1024 * 1024 },
  );
  const wallSeconds = (performance.now() - begun) / 1000;
  if (status !== 0) {
    throw new BenchError(
      `${program.command} ${program.args.join(" ")} ended with ${status}:\n${stderr}${stdout.slice(0, 2000)}`,
    );
  }
  const [user = Number.NaN, system = Number.NaN, peakKiB = Number.NaN] = readFileSync(report, "utf8")
    .trim()
    .split(" ")
    .map(Number);
  rmSync(report);
  return { wallSeconds, cpuSeconds: user + system, peakBytes: peakKiB * 1024, stdout };
}

/** The command line on a state folder of its own. */
export function strongroom(home: string, args: readonly string[]): Program {
  return { command: STRONGROOM, args, env: { ...process.env, STRONGROOM_HOME: home } };
}

/** The value of an answer in JSON. Throws BenchError where a command did not succeed. */
export function answer(run: Run): Record<string, unknown> {
  const parsed: unknown = JSON.parse(run.stdout);
  const value: unknown = Reflect.get(Object(parsed), "value");
  if (Reflect.get(Object(parsed), "ok") !== true) throw new BenchError(run.stdout);
  return Object(value) as Record<string, unknown>;
}

/** Reads a file once, so that it is in the system's cache. */
export function warm(path: string): void {
  spawnSync("sh", ["-c", 'find "$1" -type f -exec cat {} + >/dev/null', "sh", path]);
}
