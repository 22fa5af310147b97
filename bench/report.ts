import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";
import { join } from "node:path";
import { ROOT, type Run } from "./measure.ts";

/** One figure with the limit it is held to. */
export interface Line {
  readonly what: string;
  readonly figure: string;
  /** The lowest and the highest, where there were several runs. */
  readonly spread: string;
  readonly peer: string;
  readonly ratio: number | null;
  readonly limit: string;
  readonly within: boolean | null;
}

export interface Measured {
  readonly name: string;
  readonly runs: readonly Omit<Run, "stdout">[];
}

export interface SuiteResult {
  readonly lines: readonly Line[];
  readonly measured: readonly Measured[];
  readonly notes: readonly string[];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

const seconds = (value: number) => `${value.toFixed(2)} s`;
const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;

/** Medians of wall time against the peer's, of runs that took turns. */
export function ratioLine(what: string, ours: readonly Run[], peers: readonly Run[], limit: number): Line {
  const wall = (runs: readonly Run[]) => runs.map((run) => run.wallSeconds);
  const ratio = median(wall(ours)) / median(wall(peers));
  return {
    what,
    figure: seconds(median(wall(ours))),
    spread: `${seconds(Math.min(...wall(ours)))} to ${seconds(Math.max(...wall(ours)))}`,
    peer: seconds(median(wall(peers))),
    ratio,
    limit: `${Number(limit.toFixed(3))} x`,
    within: ratio <= limit,
  };
}

/** `limitMb` is null where no limit is set. */
export function memoryLine(what: string, run: Run, limitMb: number | null): Line {
  return {
    what,
    figure: megabytes(run.peakBytes),
    spread: `in ${seconds(run.wallSeconds)}`,
    peer: "",
    ratio: null,
    limit: limitMb === null ? "" : `${limitMb} MB`,
    within: limitMb === null ? null : run.peakBytes <= limitMb * 1e6,
  };
}

function verdict(within: boolean | null): string {
  if (within === null) return "";
  return within ? "ok" : "OVER";
}

export function tableText({ lines, notes }: SuiteResult): string {
  const head = ["case", "figure", "spread", "peer", "ratio", "limit", ""];
  const rows = lines.map((line) => [
    line.what,
    line.figure,
    line.spread,
    line.peer,
    line.ratio === null ? "" : `${line.ratio.toFixed(2)} x`,
    line.limit,
    verdict(line.within),
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const text = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join("  ");
  return `${[text(head), ...rows.map(text), ...notes].map((line) => line.trimEnd()).join("\n")}\n`;
}

/** What the figures were taken on; they mean nothing without it. */
export function machineText(): string {
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], {
    cwd: ROOT,
    encoding: "utf8",
  }).trim();
  return [
    `commit ${commit}, ${new Date().toISOString()}`,
    `${cpus()[0]?.model ?? "unknown processor"}, ${availableParallelism()} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.version}`,
    `load average at the start ${loadavg()
      .map((load) => load.toFixed(2))
      .join(" ")}`,
  ].join("\n");
}

/** Writes `<suite>.txt` for people and `<suite>.json` with every single run. */
export function writeResult(folder: string, suite: string, heading: string, result: SuiteResult): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${suite}.txt`), `${heading}\n\n${tableText(result)}`);
  writeFileSync(join(folder, `${suite}.json`), `${JSON.stringify({ heading, ...result }, null, 2)}\n`);
}
