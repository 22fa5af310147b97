import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DeleteObjectsCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import { runCeph } from "../e2e/support/ceph-cluster.ts";
import { type Radosgw, startRadosgw } from "../e2e/support/radosgw.ts";
import { S3Store } from "../e2e/support/s3-store.ts";
import { manySmallFiles, oneLargeFile } from "./evidence.ts";
import { BenchError, measure, type Program, type Run, strongroom } from "./measure.ts";
import { type Line, type Measured, memoryLine, ratioLine, type SuiteResult } from "./report.ts";
import { build, ENGAGEMENT, interleaved, newHome, packageId, type SuiteOptions } from "./seal.ts";

/** Issue 3, "Must show": 1.3 times as fast as rclone, as fast as aws, 8 times as fast for small files, in 300 MB. */
const LIMITS = { pushRclone: 1 / 1.3, pushAws: 1, pullRclone: 1, smallRclone: 1 / 8, memoryMb: 300 };
const SIZES = {
  issue: { largeMib: 1024, files: 5_000 },
  quick: { largeMib: 64, files: 500 },
};
const SMALL_FILE = 16 * 1024;
/** By which our program knows its vault again: stays when a bucket is emptied. */
const MARKER = "strongroom-vault.json";

interface Part {
  readonly lines: readonly Line[];
  readonly measured: readonly Measured[];
}

/** A store in memory with one bucket, and the programs that use it. */
class Bench {
  readonly options: SuiteOptions;
  readonly #radosgw: Radosgw;
  readonly #store: S3Store;
  readonly #bucket: string;

  private constructor(options: SuiteOptions, radosgw: Radosgw, store: S3Store, bucket: string) {
    this.options = options;
    this.#radosgw = radosgw;
    this.#store = store;
    this.#bucket = bucket;
  }

  static async start(options: SuiteOptions): Promise<Bench> {
    const radosgw = await startRadosgw({ memoryBytes: 14 * 2 ** 30 });
    const store = new S3Store(radosgw.facts);
    return new Bench(options, radosgw, store, await store.newBucket({}));
  }

  stop(): Promise<void> {
    return this.#radosgw.stop();
  }

  /** Empties the bucket and has the store free the memory at once, so that every run finds the same store. */
  async clear(): Promise<void> {
    // A new one each time: while a program is measured nothing else runs here, so connections that the store closed meanwhile look open.
    const client = this.#store.clientFor(this.#store.facts);
    for (;;) {
      const page = await client.send(new ListObjectsV2Command({ Bucket: this.#bucket }));
      const objects = (page.Contents ?? []).flatMap(({ Key }) =>
        Key === undefined || Key === MARKER ? [] : [{ Key }],
      );
      if (objects.length === 0) break;
      await client.send(
        new DeleteObjectsCommand({ Bucket: this.#bucket, Delete: { Objects: objects, Quiet: true } }),
      );
    }
    await runCeph(this.#radosgw.facts.cephFolder ?? "", "radosgw-admin", ["gc", "process", "--include-all"]);
  }

  get #env(): NodeJS.ProcessEnv {
    const { accessKeyId, secretAccessKey, region, endpoint } = this.#radosgw.facts;
    return {
      ...process.env,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_DEFAULT_REGION: region,
      AWS_EC2_METADATA_DISABLED: "true",
      // rclone cannot start where it is set.
      AWS_CA_BUNDLE: undefined,
      RCLONE_CONFIG: "/dev/null",
      RCLONE_S3_PROVIDER: "Ceph",
      RCLONE_S3_ENV_AUTH: "true",
      RCLONE_S3_ENDPOINT: endpoint,
    };
  }

  /** Our command line on a state folder whose engagement has the bucket as its vault. */
  ours(home: string, args: readonly string[]): Program {
    const program = strongroom(home, args);
    return { ...program, env: { ...this.#env, STRONGROOM_HOME: home } };
  }

  withVault(home: string): void {
    const { endpoint, region } = this.#radosgw.facts;
    const add = ["vault", "add", "s3", "bench-vault", "--bucket", this.#bucket, "--endpoint", endpoint];
    this.run(this.ours(home, [...add, "--region", region, "--credentials", "env"]));
    this.run(this.ours(home, ["engagement", "set-vault", ENGAGEMENT, "bench-vault"]));
  }

  rclone(...args: readonly string[]): Program {
    return { command: "rclone", args, env: this.#env };
  }

  aws(...args: readonly string[]): Program {
    const endpoint = ["--endpoint-url", this.#radosgw.facts.endpoint, "--no-progress", "--only-show-errors"];
    return { command: "aws", args: ["s3", "cp", ...endpoint, ...args], env: this.#env };
  }

  /** An object of the bucket as rclone and aws name it. */
  at(name: string): { readonly rclone: string; readonly aws: string } {
    return { rclone: `:s3:${this.#bucket}/peers/${name}`, aws: `s3://${this.#bucket}/peers/${name}` };
  }

  run(program: Program): Run {
    return measure(program, this.options.scratch);
  }
}

function worstMemory(what: string, runs: readonly Run[]): Line {
  const [worst] = [...runs].sort((one, other) => other.peakBytes - one.peakBytes);
  if (worst === undefined) throw new BenchError(`${what} did not run`);
  return memoryLine(`peak memory of ${what}`, worst, LIMITS.memoryMb);
}

function measuredRuns(runs: Readonly<Record<string, Run[]>>): readonly Measured[] {
  return Object.entries(runs).map(([name, of]) => ({ name, runs: of }));
}

/** Pushes of the same archive, each into an empty bucket. */
async function push(bench: Bench, { largeMib }: typeof SIZES.issue): Promise<Part> {
  const { folder } = oneLargeFile(bench.options.scratch, largeMib);
  const home = newHome(bench.options);
  try {
    bench.withVault(home);
    const id = packageId(bench.run(build(home, folder)));
    const archive = join(home, "packages", id, "bench.tar");
    const target = bench.at("bench.tar");
    const runs = await interleaved(
      bench.options,
      {
        "rclone copyto": () => bench.run(bench.rclone("copyto", archive, target.rclone)),
        "aws s3 cp": () => bench.run(bench.aws(archive, target.aws)),
        "package push": () => bench.run(bench.ours(home, ["package", "push", id])),
      },
      { before: () => bench.clear() },
    );
    const what = `push, ${largeMib} MiB`;
    const ours = runs["package push"] ?? [];
    return {
      lines: [
        ratioLine(`${what}, peer rclone copyto`, ours, runs["rclone copyto"] ?? [], LIMITS.pushRclone),
        ratioLine(`${what}, peer aws s3 cp`, ours, runs["aws s3 cp"] ?? [], LIMITS.pushAws),
        worstMemory(what, ours),
      ],
      measured: measuredRuns(runs),
    };
  } finally {
    rmSync(home, { recursive: true });
  }
}

/** Pulls of a package sealed on another device: everything about it is verified. */
async function pull(bench: Bench, { largeMib }: typeof SIZES.issue): Promise<Part> {
  const { folder } = oneLargeFile(bench.options.scratch, largeMib);
  const [sealer, reader] = [newHome(bench.options), newHome(bench.options)];
  const into = join(bench.options.scratch, "pulled");
  try {
    bench.withVault(sealer);
    bench.withVault(reader);
    const id = packageId(bench.run(build(sealer, folder)));
    bench.run(bench.ours(sealer, ["package", "push", id]));
    const source = bench.at("bench.tar").rclone;
    bench.run(bench.rclone("copyto", join(sealer, "packages", id, "bench.tar"), source));
    bench.run(bench.ours(reader, ["sync"]));
    const fresh = async () => {
      rmSync(into, { recursive: true, force: true });
      mkdirSync(into);
    };
    const runs = await interleaved(
      bench.options,
      {
        "rclone copyto": () => bench.run(bench.rclone("copyto", source, join(into, "bench.tar"))),
        "package pull": () =>
          bench.run(bench.ours(reader, ["package", "pull", id, "--to", into, "--as", "tar"])),
      },
      { before: fresh, twice: true },
    );
    const what = `pull and verify, ${largeMib} MiB`;
    const ours = runs["package pull"] ?? [];
    return {
      lines: [
        ratioLine(`${what}, peer rclone copyto`, ours, runs["rclone copyto"] ?? [], LIMITS.pullRclone),
        worstMemory(what, ours),
      ],
      measured: measuredRuns(runs),
    };
  } finally {
    for (const used of [sealer, reader, into]) rmSync(used, { recursive: true, force: true });
    await bench.clear();
  }
}

/** Small files, which we send as one package, held and by reference, and rclone file by file. */
async function small(bench: Bench, { files }: typeof SIZES.issue): Promise<Part> {
  const folder = manySmallFiles(bench.options.scratch, files, SMALL_FILE);
  const home = newHome(bench.options);
  try {
    bench.withVault(home);
    const held = packageId(bench.run(build(home, folder)));
    const referenced = packageId(bench.run(build(home, folder, "--reference")));
    const runs = await interleaved(
      bench.options,
      {
        "rclone copy --transfers 16": () =>
          bench.run(bench.rclone("copy", "--transfers", "16", folder, bench.at("small").rclone)),
        "package push, held": () => bench.run(bench.ours(home, ["package", "push", held])),
        "package push, by reference": () => bench.run(bench.ours(home, ["package", "push", referenced])),
      },
      { before: () => bench.clear() },
    );
    const line = (name: string) =>
      ratioLine(
        `${name}, ${files} files of 16 KiB`,
        runs[name] ?? [],
        runs["rclone copy --transfers 16"] ?? [],
        LIMITS.smallRclone,
      );
    return {
      lines: [line("package push, held"), line("package push, by reference")],
      measured: measuredRuns(runs),
    };
  } finally {
    rmSync(home, { recursive: true });
  }
}

const CASES: Readonly<Record<string, (bench: Bench, sizes: typeof SIZES.issue) => Promise<Part>>> = {
  push,
  pull,
  small,
};

/** Pushing to and pulling from a real Ceph radosgw on loopback, against rclone and the AWS command line with their defaults. */
export async function transferSuite(options: SuiteOptions): Promise<SuiteResult> {
  const names = options.only.length === 0 ? Object.keys(CASES) : options.only;
  const unknown = names.find((name) => CASES[name] === undefined);
  if (unknown !== undefined) {
    throw new BenchError(`there is no case '${unknown}'; the cases are ${Object.keys(CASES).join(", ")}`);
  }
  const sizes = options.quick ? SIZES.quick : SIZES.issue;
  const bench = await Bench.start(options);
  const parts: Part[] = [];
  try {
    for (const name of names) {
      options.log(name);
      const part = await CASES[name]?.(bench, sizes);
      if (part !== undefined) parts.push(part);
    }
  } finally {
    await bench.stop();
  }
  return {
    lines: parts.flatMap(({ lines }) => lines),
    measured: parts.flatMap(({ measured }) => measured),
    notes: ["store: Ceph radosgw of Debian, in memory, on the same two cores; it works for every byte, too"],
  };
}
