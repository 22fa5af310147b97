import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { manySmallFiles, oneLargeFile } from "./evidence.ts";
import { answer, BenchError, measure, type Program, ROOT, type Run, strongroom, warm } from "./measure.ts";
import { type Line, type Measured, memoryLine, ratioLine, type SuiteResult } from "./report.ts";

export interface SuiteOptions {
  readonly scratch: string;
  readonly runs: number;
  readonly quick: boolean;
  /** Names of the cases to run; all where it is empty. */
  readonly only: readonly string[];
  readonly log: (text: string) => void;
}

interface Part {
  readonly lines: readonly Line[];
  readonly measured: readonly Measured[];
  readonly notes?: readonly string[];
}

/** Issue 2, "Must show". The sizes are those of the issue, or smaller ones for a quick look. */
const SIZES = {
  issue: { largeMib: 1024, hugeMib: 4096, files: 100_000, manifestFiles: 3_000_000 },
  quick: { largeMib: 128, hugeMib: 256, files: 5_000, manifestFiles: 100_000 },
};
export const ENGAGEMENT = "bench";

let homes = 0;

/** A state folder with one engagement, so that no run finds the packages of another. */
export function newHome({ scratch }: SuiteOptions): string {
  homes++;
  const home = join(scratch, `home-${homes}`);
  measure(strongroom(home, ["engagement", "create", ENGAGEMENT]), scratch);
  return home;
}

export function build(home: string, folder: string, ...more: string[]): Program {
  return strongroom(home, ["package", "build", ENGAGEMENT, folder, "--name", "bench", "--json", ...more]);
}

export function packageId(run: Run): string {
  return String(Reflect.get(Object(answer(run).package), "id"));
}

interface Turns {
  /** Makes ready for each run. */
  readonly before?: () => Promise<void>;
  /**
   * Each runs twice in its turn, and the second run counts: it finds the memory that its like has freed. Where the host of a virtual machine takes free
   * memory back, the kernel gets it again page by page, which for a gigabyte of new file takes up to three seconds; who had to pay for that was decided
   * by who ran before.
   */
  readonly twice?: boolean;
}

/** Runs all contenders in turn, as often as asked for, after one round that does not count. */
export async function interleaved(
  options: SuiteOptions,
  contenders: Readonly<Record<string, () => Run>>,
  { before = async () => undefined, twice = false }: Turns = {},
): Promise<Readonly<Record<string, Run[]>>> {
  const runs: Record<string, Run[]> = {};
  for (let round = 0; round <= options.runs; round++) {
    for (const [name, contender] of Object.entries(contenders)) {
      await before();
      if (twice) {
        contender();
        await before();
      }
      const run = contender();
      options.log(`  ${name} ${run.wallSeconds.toFixed(2)} s, CPU ${run.cpuSeconds.toFixed(2)} s`);
      const counted = runs[name] ?? [];
      runs[name] = counted;
      if (round > 0) counted.push(run);
    }
  }
  return runs;
}

/** Seals in reference mode into a new state folder each time; only the sealing is measured. */
function referenceSeal(options: SuiteOptions, folder: string): () => Run {
  return () => {
    const home = newHome(options);
    try {
      return measure(build(home, folder, "--reference"), options.scratch);
    } finally {
      rmSync(home, { recursive: true });
    }
  };
}

async function compared(
  options: SuiteOptions,
  folder: string,
  peer: Program,
  cases: { readonly what: string; readonly seal: number; readonly verify: number; readonly full?: number },
): Promise<Part> {
  const { scratch } = options;
  const home = newHome(options);
  try {
    const id = packageId(measure(build(home, folder), scratch));
    warm(folder);
    const runs = await interleaved(options, {
      peer: () => measure(peer, scratch),
      "seal --reference": referenceSeal(options, folder),
      verify: () => measure(strongroom(home, ["verify", id]), scratch),
      ...(cases.full === undefined
        ? {}
        : { "verify --full": () => measure(strongroom(home, ["verify", id, "--full"]), scratch) }),
    });
    const line = (name: string, limit: number) =>
      ratioLine(`${name}, ${cases.what}`, runs[name] ?? [], runs.peer ?? [], limit);
    return {
      lines: [
        line("seal --reference", cases.seal),
        line("verify", cases.verify),
        ...(cases.full === undefined ? [] : [line("verify --full", cases.full)]),
      ],
      measured: Object.entries(runs).map(([name, of]) => ({ name: `${cases.what}: ${name}`, runs: of })),
      notes: [`peer of ${cases.what}: ${peer.command} ${peer.args.join(" ")}`],
    };
  } finally {
    rmSync(home, { recursive: true });
  }
}

function large(options: SuiteOptions, { largeMib }: typeof SIZES.issue): Promise<Part> {
  const { folder, file } = oneLargeFile(options.scratch, largeMib);
  const peer = { command: "openssl", args: ["dgst", "-sha256", file] };
  return compared(options, folder, peer, {
    what: `1 file of ${largeMib} MiB`,
    seal: 1.4,
    verify: 0.8,
    full: 1.4,
  });
}

function small(options: SuiteOptions, { files }: typeof SIZES.issue): Promise<Part> {
  const folder = manySmallFiles(options.scratch, files);
  const peer = {
    command: "sh",
    args: ["-c", `find ${folder} -type f -print0 | xargs -0 sha256sum >/dev/null`],
  };
  return compared(options, folder, peer, { what: `${files} files of 4 KiB`, seal: 0.9, verify: 0.9 });
}

function manifest(options: SuiteOptions, { manifestFiles }: typeof SIZES.issue): Part {
  const { scratch } = options;
  const file = join(scratch, "manifest.json");
  const script = join(ROOT, "bench", "manifest-run.ts");
  const run = (action: string) =>
    measure(
      {
        command: process.execPath,
        args: ["--disable-warning=ExperimentalWarning", script, action, file, String(manifestFiles)],
      },
      scratch,
    );
  rmSync(file, { force: true });
  const written = run("write");
  const read = run("read");
  rmSync(file);
  const what = `manifest.json of ${manifestFiles} files`;
  return {
    lines: [memoryLine(`write ${what}`, written, null), memoryLine(`read ${what}`, read, null)],
    measured: [
      { name: `write ${what}`, runs: [written] },
      { name: `read ${what}`, runs: [read] },
    ],
  };
}

/** The way of one package, each step with its peak memory; at the end tar and sha256sum must agree with us. */
function wholeWay(options: SuiteOptions, what: string, folder: string, limitMb: number): Part {
  const { scratch } = options;
  const home = newHome(options);
  const vault = join(scratch, "vault");
  const pulled = join(scratch, "pulled");
  const proof = join(scratch, "proof");
  try {
    for (const made of [vault, pulled, proof]) mkdirSync(made);
    measure(strongroom(home, ["vault", "add", "folder", "bench-vault", "--path", vault]), scratch);
    measure(strongroom(home, ["engagement", "set-vault", ENGAGEMENT, "bench-vault"]), scratch);
    const runs: Record<string, Run> = {};
    const step = (name: string, program: Program) => {
      const run = measure(program, scratch);
      options.log(`  ${name} ${Math.round(run.peakBytes / 1e6)} MB in ${run.wallSeconds.toFixed(2)} s`);
      runs[name] = run;
      return run;
    };
    const id = packageId(step("seal", build(home, folder)));
    step("push", strongroom(home, ["package", "push", id]));
    step("pull", strongroom(home, ["package", "pull", id, "--to", pulled, "--as", "tar"]));
    step("verify", strongroom(home, ["verify", join(pulled, "bench.tar")]));
    step("verify --full", strongroom(home, ["verify", join(pulled, "bench.tar"), "--full"]));
    step("tar xf", { command: "tar", args: ["xf", join(pulled, "bench.tar"), "-C", proof] });
    step("sha256sum -c", {
      command: "sha256sum",
      args: ["--check", "--quiet", "--strict", "manifest-sha256.txt"],
      cwd: join(proof, "bench"),
    });
    const ours = Object.entries(runs).slice(0, -2);
    return {
      lines: ours.map(([name, run]) => memoryLine(`peak memory of ${name}, ${what}`, run, limitMb)),
      measured: Object.entries(runs).map(([name, run]) => ({ name: `${what}: ${name}`, runs: [run] })),
      notes: [`${what}: tar xf and sha256sum -c manifest-sha256.txt agree`],
    };
  } finally {
    for (const used of [home, vault, pulled, proof]) rmSync(used, { recursive: true, force: true });
  }
}

const CASES: Readonly<
  Record<string, (options: SuiteOptions, sizes: typeof SIZES.issue) => Part | Promise<Part>>
> = {
  large,
  small,
  manifest,
  "memory-small": (options, { files }) =>
    wholeWay(options, `${files} files of 4 KiB`, manySmallFiles(options.scratch, files), 400),
  "memory-large": (options, { hugeMib }) =>
    wholeWay(options, `1 file of ${hugeMib} MiB`, oneLargeFile(options.scratch, hugeMib).folder, 250),
};

/** Sealing and verifying against their peers, and the memory they take. */
export async function sealSuite(options: SuiteOptions): Promise<SuiteResult> {
  const names = options.only.length === 0 ? Object.keys(CASES) : options.only;
  const sizes = options.quick ? SIZES.quick : SIZES.issue;
  const parts: Part[] = [];
  for (const name of names) {
    const runCase = CASES[name];
    if (runCase === undefined) {
      throw new BenchError(`there is no case '${name}'; the cases are ${Object.keys(CASES).join(", ")}`);
    }
    options.log(name);
    parts.push(await runCase(options, sizes));
  }
  return {
    lines: parts.flatMap((part) => part.lines),
    measured: parts.flatMap((part) => part.measured),
    notes: parts.flatMap((part) => part.notes ?? []),
  };
}
