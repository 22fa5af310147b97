import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  closeSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createHashPool, type DigestJob, type HashPool, startHashing } from "./hash-pool.ts";
import { Landing } from "./landing.ts";

let folder: string;
let pool: HashPool;
const path = (name: string): string => join(folder, name);
const sha256 = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");
const job = (name: string, more: Partial<DigestJob> = {}): DigestJob => ({
  path: path(name),
  offset: 0,
  length: null,
  algorithms: ["sha256"],
  ...more,
});

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hash-pool-"));
  pool = createHashPool({ workers: 2 });
});
afterAll(async () => {
  await pool.close();
  rmSync(folder, { recursive: true });
});

describe("hash pool", () => {
  it("digests whole files in all algorithms with one read", async () => {
    writeFileSync(path("a"), "abc");
    const bytes = Buffer.alloc(3 * 1024 * 1024 + 7, "x");
    writeFileSync(path("big"), bytes);
    const algorithms = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"] as const;
    const results = await pool.run([job("a", { algorithms }), job("big", { algorithms })]);
    for (const [i, content] of [Buffer.from("abc"), bytes].entries()) {
      const digests = Object.fromEntries(
        algorithms.map((name) => [name, createHash(name).update(content).digest("hex")]),
      );
      expect(results[i]).toEqual({ ok: true, size: content.length, digests });
    }
  });

  it("digests ranges, and says SHORT where the file ends before the range", async () => {
    const bytes = Buffer.from(Array.from({ length: 2_500_000 }, (_, i) => i % 251));
    writeFileSync(path("r"), bytes);
    const results = await pool.run([
      job("r", { offset: 10, length: 100 }),
      job("r", { offset: 1000, length: 2_000_000 }),
      job("r", { offset: 2_499_990, length: null }),
      job("r", { offset: 2_499_990, length: 11 }),
      job("r", { offset: 100, length: 2_500_000 }),
      job("r", { offset: 5, length: 0 }),
    ]);
    const of = (from: number, to: number) => ({
      ok: true,
      size: to - from,
      digests: { sha256: sha256(bytes.subarray(from, to)) },
    });
    expect(results).toEqual([
      of(10, 110),
      of(1000, 2_001_000),
      of(2_499_990, 2_500_000),
      { ok: false, code: "SHORT" },
      { ok: false, code: "SHORT" },
      of(5, 5),
    ]);
  });

  it("keeps the order of many jobs and counts every byte", async () => {
    const jobs = Array.from({ length: 1000 }, (_, i) => {
      writeFileSync(path(`m${i}`), String(i).repeat(i % 7));
      return job(`m${i}`, { sizeHint: i % 3 });
    });
    let bytes = 0;
    const results = await pool.run(jobs, { onBytes: (more) => (bytes += more) });
    let expected = 0;
    results.forEach((result, i) => {
      const content = String(i).repeat(i % 7);
      expected += content.length;
      expect(result).toEqual({ ok: true, size: content.length, digests: { sha256: sha256(content) } });
    });
    expect(bytes).toBe(expected);
  });

  it("refuses links, folders and pipes, and names what is missing", async () => {
    writeFileSync(path("target"), "x");
    symlinkSync(path("target"), path("link"));
    execFileSync("mkfifo", [path("pipe")]);
    const results = await pool.run([job("link"), job("pipe"), job("."), job("absent"), job("target")]);
    expect(results.map((result) => (result.ok ? "ok" : result.code))).toEqual([
      "ELOOP",
      "NOT_FILE",
      "NOT_FILE",
      "ENOENT",
      "ok",
    ]);
  });

  it("opens names that are not valid UTF-8", async () => {
    const raw = Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0x66, 0xff, 0xfe])]);
    writeFileSync(raw, "raw");
    const [result] = await pool.run([{ path: raw, offset: 0, length: null, algorithms: ["sha256"] }]);
    expect(result).toEqual({ ok: true, size: 3, digests: { sha256: sha256("raw") } });
  });

  it("stops when asked, and can be used again", async () => {
    writeFileSync(path("huge"), "");
    truncateSync(path("huge"), 64 * 1024 ** 3);
    const controller = new AbortController();
    const running = pool.run([job("huge"), job("huge")], {
      signal: controller.signal,
      onBytes: () => controller.abort(),
    });
    await expect(running).rejects.toMatchObject({ failure: { code: "CANCELLED" } });
    writeFileSync(path("after"), "after");
    const [result] = await pool.run([job("after")]);
    expect(result).toMatchObject({ ok: true, size: 5 });
  });

  it("runs two calls at a time", async () => {
    writeFileSync(path("one"), "1");
    writeFileSync(path("two"), "2");
    const [one, two] = await Promise.all([pool.run([job("one")]), pool.run([job("two")])]);
    expect(one).toMatchObject([{ digests: { sha256: sha256("1") } }]);
    expect(two).toMatchObject([{ digests: { sha256: sha256("2") } }]);
  });

  it("fails runs that are under way when it is closed", async () => {
    writeFileSync(path("closing"), "");
    truncateSync(path("closing"), 64 * 1024 ** 3);
    const other = createHashPool({ workers: 1 });
    const running = other.run([job("closing")]);
    const failed = expect(running).rejects.toMatchObject({ failure: { code: "CANCELLED" } });
    await other.close();
    await failed;
    await expect(other.run([job("closing")])).rejects.toMatchObject({ failure: { code: "INTERNAL" } });
  });
});

describe("work of another module in a hash pool", () => {
  /** A module that waits until the file `go` is there, then answers or throws. */
  function module(name: string, end: string): URL {
    const wait = `while (!existsSync(${JSON.stringify(path("go"))})) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);`;
    writeFileSync(
      path(name),
      `import { existsSync } from "node:fs";\nexport async function run(request) { ${wait} ${end} }\n`,
    );
    return pathToFileURL(path(name));
  }

  it("is done while the other threads digest, and its thread digests afterwards", async () => {
    rmSync(path("go"), { force: true });
    writeFileSync(path("beside"), "beside");
    const task = pool.perform(module("echo.mjs", "return { ok: true, value: request };"), "what was asked");
    const jobs = Array.from({ length: 200 }, () => job("beside"));
    const beside = await pool.run(jobs);
    expect(beside).toHaveLength(200);
    expect(beside.every((result) => result.ok && result.digests.sha256 === sha256("beside"))).toBe(true);
    writeFileSync(path("go"), "");
    expect(await task).toEqual({ ok: true, value: "what was asked" });
    const both = await Promise.all([pool.run(jobs), pool.run(jobs)]);
    expect(both.flat().every((result) => result.ok)).toBe(true);
  });

  it("that throws is told, and the pool goes on", async () => {
    writeFileSync(path("go"), "");
    await expect(
      pool.perform(module("broken.mjs", "throw new Error('out of order');"), null),
    ).rejects.toThrow(/out of order/);
    expect(await pool.run([job("go")])).toMatchObject([{ ok: true }]);
  });

  it("ends with the pool", async () => {
    rmSync(path("go"), { force: true });
    const other = createHashPool({ workers: 1 });
    const endless = module("endless.mjs", "return null;");
    const tasks = [other.perform(endless, 1), other.perform(endless, 2)];
    const failed = Promise.all(tasks.map((task) => expect(task).rejects.toThrow()));
    await other.close();
    await failed;
  });
});

describe("a file that is still being written", () => {
  const bytes = Buffer.alloc(3 * 1024 * 1024, "abcdefg");
  const piece = (number: number) => ({ offset: number * 1024 * 1024, size: 1024 * 1024 });
  const write = (name: string, ...numbers: number[]) => {
    const file = openSync(path(name), "a+");
    closeSync(file);
    const writing = openSync(path(name), "r+");
    for (const number of numbers) {
      const { offset, size } = piece(number);
      writeSync(writing, bytes, offset, size, offset);
    }
    closeSync(writing);
  };
  const jobsOf = (name: string) => [
    job(name, { offset: 2_000_000, length: 500_000 }),
    job(name, { offset: 5, length: 1_500_000 }),
    job(name, { offset: 3_000_000, length: 500_000 }),
  ];
  const range = (from: number, size: number) => ({
    ok: true,
    size,
    digests: { sha256: sha256(bytes.subarray(from, from + size)) },
  });

  it("is digested behind its pieces, whatever their order, and what it lacks in the end is SHORT", async () => {
    const landing = new Landing();
    write("landing", 2);
    landing.add(piece(2));
    const running = pool.run(jobsOf("landing"), { landing });
    write("landing", 0);
    landing.add(piece(0));
    write("landing", 1);
    landing.add(piece(1));
    landing.finish();
    expect(await running).toEqual([
      range(2_000_000, 500_000),
      range(5, 1_500_000),
      { ok: false, code: "SHORT" },
    ]);
  });

  it("is not waited for when no more comes, nor when nobody wants its digests any more", async () => {
    write("given-up", 0);
    const landing = new Landing();
    landing.add(piece(0));
    const running = pool.run(jobsOf("given-up"), { landing });
    landing.giveUp();
    expect(await running).toEqual(jobsOf("given-up").map(() => ({ ok: false, code: "STOPPED" })));
    const cancel = new AbortController();
    const other = pool.run(jobsOf("given-up"), { landing: new Landing(), signal: cancel.signal });
    cancel.abort();
    await expect(other).rejects.toMatchObject({ failure: { code: "CANCELLED" } });
    expect(await pool.run([job("given-up")])).toMatchObject([{ ok: true }]);
  });
});

it("threads that were started early are those of the next pool", async () => {
  startHashing(2);
  const [first, second] = [createHashPool(), createHashPool()];
  writeFileSync(path("early"), "early");
  const results = await Promise.all([first.run([job("early")]), second.run([job("early")])]);
  expect(results).toMatchObject([[{ ok: true }], [{ ok: true }]]);
  await first.close();
  expect(await second.run([job("early")])).toMatchObject([{ ok: true }]);
  await second.close();
});
