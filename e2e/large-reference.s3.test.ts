import { createHash } from "node:crypto";
import { open, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Seal } from "../src-contract/seal.ts";
import { VirtualTar } from "../src-core/archive/virtual-tar.ts";
import { canonicalJson } from "../src-core/package/canonical-json.ts";
import { PlanReader, PlanWriter } from "../src-core/package/plan-file.ts";
import { PartCount } from "./crash-parts.ts";
import { sealOf } from "./crash-scenario.ts";
import { Desk } from "./run-cli.ts";
import { StoreBucket } from "./store-bucket.ts";

const ENGAGEMENT = "acme-2026";
const NAME = "disk";
const GIB = 2 ** 30;
const LARGE = 100 * GIB;
/** The limit of the project for any command, in bytes (docs/performance.md). */
const MEMORY_LIMIT = 300e6;
/** With this the package is really sealed, which reads 100 GiB; else its seal is made from that of a small one. */
const REAL = process.env.STRONGROOM_SEAL_100_GIB === "1";
/** Parts that each process sends before it is killed; a package of 1 GiB has 65. */
const PARTS = REAL ? { small: 30, large: 100 } : { small: 12, large: 12 };

let bucket: StoreBucket;
let desk: Desk;

beforeAll(async () => {
  bucket = await StoreBucket.open();
  desk = await Desk.open();
  await bucket.engage(desk, ENGAGEMENT);
});
afterAll(async () => {
  await bucket.proxy.close();
  await desk.close();
});

/** Seals one sparse file by reference; answers with the package's id. */
async function sealSparse(folder: string, size: number): Promise<string> {
  const file = await desk.write(`${folder}/${NAME}.img`, "");
  await truncate(file, size);
  const args = ["package", "build", ENGAGEMENT, file, "--name", NAME, "--reference", "--quiet"];
  const { exitCode, out, err } = await desk.run(args, { timeout: 3_600_000 });
  expect([exitCode, err]).toEqual([0, ""]);
  return out.trim();
}

/**
 * Makes a package of one small sparse file into that of a large one, plan and seal: all of its parts but the first and the last ones hold nothing
 * but zeros, and have one digest. Its manifest still tells of the small file: it is never reached.
 */
async function enlarge(id: string, size: number): Promise<void> {
  const folder = desk.path("home", "packages", id);
  const plan = new PlanReader(folder, NAME);
  const entries = [...plan.all()];
  plan.close();
  for (const file of ["plan.records", "plan.index"]) await rm(`${folder}/${file}`);
  const writer = new PlanWriter(folder, NAME);
  for (const entry of entries) {
    const isDisk = entry.path.startsWith("data/");
    const source = isDisk ? entry.source : Buffer.alloc(0);
    writer.add({ ...entry, source, size: isDisk ? size : entry.size });
    if (isDisk) await truncate(entry.source, size);
  }
  const archiveSize = writer.archiveOffset + 1024;
  writer.close();
  const { partSize, ...seal } = await sealOf(desk, id);
  const archive = new VirtualTar(folder, NAME, archiveSize);
  const digestOf = async (part: number) => {
    const bytes = Buffer.alloc(Math.min(partSize, archiveSize - part * partSize));
    await archive.read(part * partSize, bytes);
    return createHash("sha256").update(bytes).digest("hex");
  };
  const count = Math.ceil(archiveSize / partSize);
  const zeros = await digestOf(1);
  const parts = Array<string>(count).fill(zeros);
  for (const part of [0, count - 2, count - 1]) parts[part] = await digestOf(part);
  await archive.close();
  const sealed: Seal = { ...seal, partSize, archiveSize, parts };
  await writeFile(`${folder}/seal.json`, canonicalJson(sealed));
}

/** Pushes until so many parts have begun, then kills; answers with the most memory that the process had, bytes. */
async function pushAndKill(id: string, parts: number): Promise<number> {
  let pid = 0;
  let peak = 0;
  bucket.proxy.rule({
    operation: "upload-part",
    nth: parts,
    before: async () => {
      const status = await readFile(`/proc/${pid}/status`, "utf8");
      peak = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
      process.kill(pid, "SIGKILL");
    },
  });
  const finished = await desk.run(["package", "push", id], {
    timeout: 600_000,
    onStart: async (child) => {
      pid = child.pid ?? 0;
    },
  });
  expect(finished.signal, finished.err).toBe("SIGKILL");
  bucket.proxy.clearRules();
  expect(peak, "not killed by this test").toBeGreaterThan(0);
  return peak;
}

/** Begins a push, kills it, goes on, kills it again. Answers with the peaks of memory. */
async function interruptedPush(id: string, parts: number): Promise<readonly number[]> {
  const seal = await sealOf(desk, id);
  const count = new PartCount({ home: desk.home, proxy: bucket.proxy, direction: "push", seal });
  count.begin();
  const peaks: number[] = [];
  for (let run = 0; run < 2; run++) {
    peaks.push(await pushAndKill(id, parts));
    await count.afterRun("killed");
  }
  return peaks;
}

/** Edits one byte of the file in a part that was not sent yet: it is refused and named, and nothing has to read 100 GiB for that. */
async function expectRefused(id: string, part: number): Promise<void> {
  const file = await open(desk.path("large", `${NAME}.img`), "r+");
  await file.write("x", part * 2 ** 24);
  await file.close();
  const finished = await desk.run(["package", "push", id, "--json"]);
  expect(finished.exitCode, finished.out).toBe(2);
  expect(JSON.parse(finished.out).failure).toMatchObject({
    code: "SOURCE_CHANGED",
    details: { paths: [`data/${NAME}.img`] },
  });
  expect((await bucket.uploads()).filter((key) => key.includes(id))).toEqual([]);
}

test("a reference package of 100 GiB is pushed at the memory of a small one, killed, goes on where it was, and is refused once a byte of it is another", async () => {
  const began = performance.now();
  const small = await sealSparse("small", REAL ? GIB : 2 ** 25);
  if (!REAL) await enlarge(small, GIB);
  const large = await sealSparse("large", REAL ? LARGE : 2 ** 25);
  if (!REAL) await enlarge(large, LARGE);
  const sealed = performance.now();
  expect((await sealOf(desk, large)).parts).toHaveLength(6401);
  const peaks = [
    ...(await interruptedPush(small, PARTS.small)),
    ...(await interruptedPush(large, PARTS.large)),
  ];
  const megabytes = peaks.map((peak) => Math.round(peak / 1e6));
  console.log(
    `peaks of memory, MB, before and after the kill: 1 GiB ${megabytes.slice(0, 2)}, 100 GiB ${megabytes.slice(2)};`,
    `${REAL ? "sealed" : "made"} in ${Math.round((sealed - began) / 1000)} s`,
  );
  for (const peak of peaks) expect(peak).toBeLessThan(MEMORY_LIMIT);
  await expectRefused(large, 2 * PARTS.large + 10);
}, 7_200_000);
