import { appendFile, rename, rm, stat, symlink, truncate, utimes, writeFile } from "node:fs/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Seal } from "../src-contract/seal.ts";
import { sealOf } from "./crash-scenario.ts";
import { Desk } from "./run-cli.ts";
import { StoreBucket, sha256Of } from "./store-bucket.ts";

const ENGAGEMENT = "acme-2026";
const PART = 2 ** 24;
/** Files of 3 MiB each, five or six in a part of 16 MiB: files 0 to 5 lie in the first, 5 to 10 in the second, and so on. */
const FILE = 3 * 2 ** 20;
const FILES = 42;

let bucket: StoreBucket;
let desk: Desk;
let id: string;
let seal: Seal;
const edited = new Set<number>();
const pathOf = (file: number) => `evidence/${String(file).padStart(2, "0")}.bin`;
const contentOf = (file: number) => {
  const content = Buffer.alloc(FILE);
  for (let at = 0; at < FILE; at += 2 ** 16) content.fill(`file ${file} at ${at} `, at, at + 2 ** 16);
  return content;
};

beforeAll(async () => {
  bucket = await StoreBucket.open();
  desk = await Desk.open();
  await bucket.engage(desk, ENGAGEMENT);
  for (let file = 0; file < FILES; file++) await desk.write(pathOf(file), contentOf(file));
});
beforeEach(async () => {
  const built = ["package", "build", ENGAGEMENT, "evidence", "--name", "week-1", "--reference", "--quiet"];
  id = (await desk.run(built)).out.trim();
  seal = await sealOf(desk, id);
  bucket.proxy.forget();
});
afterEach(async () => {
  bucket.proxy.clearRules();
  await bucket.store.abortUploads(bucket.name);
  await restore();
});
afterAll(async () => {
  await bucket.proxy.close();
  await desk.close();
});

/** Changes a byte at either end of a file, which keeps its size, time and inode. */
async function edit(file: number): Promise<void> {
  const path = desk.path(pathOf(file));
  const { atime, mtime } = await stat(path);
  const content = contentOf(file);
  content[0] = 0;
  content[FILE - 1] = 0;
  edited.add(file);
  await writeFile(path, content, { flag: "r+" });
  await utimes(path, atime, mtime);
}

/** Brings back what was edited. */
async function restore(): Promise<void> {
  for (const file of edited) {
    const path = desk.path(pathOf(file));
    for (const left of [path, `${path}.away`]) await rm(left, { force: true });
    await writeFile(path, contentOf(file));
  }
  edited.clear();
}

/**
 * Lets the store refuse part `first` at a moment when no other answer is on its way: it waits until those before it have been answered, and those
 * after it wait for it. Answers with the number of requests that had come in when it was refused; nothing is to be begun after those.
 */
function holdParts(first: number): { readonly refusedAfter: () => number } {
  const { exchanges } = bucket.proxy;
  const earlier = Promise.withResolvers<void>();
  const refused = Promise.withResolvers<void>();
  const answered = new Set<number>();
  let count = Number.NaN;
  if (first === 1) earlier.resolve();
  for (let part = 1; part < first; part++)
    bucket.proxy.rule({
      operation: "upload-part",
      part,
      fault: { kind: "rewrite", change: () => noteAnswer(part) },
    });
  bucket.proxy.rule({
    operation: "upload-part",
    part: first,
    before: () => earlier.promise,
    fault: {
      kind: "rewrite",
      change: ({ status }) => {
        expect(status).toBe(400);
        count = exchanges.length;
        refused.resolve();
      },
    },
  });
  bucket.proxy.rule({
    operation: "upload-part",
    times: Number.POSITIVE_INFINITY,
    before: () => refused.promise,
  });
  const noteAnswer = (part: number) => {
    answered.add(part);
    if (answered.size === first - 1) earlier.resolve();
  };
  return { refusedAfter: () => count };
}

/** Pushes what is not as it was sealed; answers with the paths that are named, and asserts that nothing of it is left in the store. */
async function refusedPush(parts: readonly number[]): Promise<readonly string[]> {
  const [first = 0] = parts;
  const { refusedAfter } = holdParts(first);
  const finished = await desk.run(["package", "push", id, "--json"]);
  expect(finished.exitCode, finished.out).toBe(2);
  const { failure } = JSON.parse(finished.out);
  expect(failure.code).toBe("SOURCE_CHANGED");
  const { exchanges } = bucket.proxy;
  const sent = exchanges.filter(({ operation }) => operation === "upload-part");
  const taken = sent.filter(({ storeStatus }) => storeStatus === 200).map(({ part = 0 }) => part);
  expect(
    taken.filter((part) => parts.includes(part)),
    "changed parts that the store took",
  ).toEqual([]);
  const later = exchanges.slice(refusedAfter()).filter(({ method }) => method === "PUT");
  expect
    .soft(
      later.map(({ key, part }) => `${key} ${part}`),
      "begun after the refusal",
    )
    .toEqual([]);
  expect(exchanges.filter(({ operation }) => operation === "complete-upload")).toEqual([]);
  expect(await bucket.uploads()).toEqual([]);
  expect(await bucket.versions(`engagements/${ENGAGEMENT}/packages/${id}/`)).toEqual([]);
  return failure.details.paths;
}

/** With the files as they were sealed, the push succeeds, and the store holds the sealed archive. */
async function expectPushed(): Promise<void> {
  bucket.proxy.clearRules();
  expect(await desk.value("package", "push", id)).toMatchObject({ alreadyStored: false });
  const archive = await bucket.bytes({ key: `engagements/${ENGAGEMENT}/packages/${id}/${seal.archive}` });
  const digests = seal.parts.map((_, part) => sha256Of(archive.subarray(part * PART, (part + 1) * PART)));
  expect(digests).toEqual(seal.parts);
  expect(await bucket.uploads()).toEqual([]);
}

describe("files of a reference package that were edited after sealing, size and time kept", () => {
  test.each<readonly [string, readonly number[], readonly number[]]>([
    ["one in the first part", [2], [1]],
    ["one in the middle", [17], [4]],
    ["one that lies in two parts", [5], [1, 2]],
    ["several in one part", [6, 7, 9], [2]],
    ["several in different parts", [1, 7, 18, 40], [1, 2, 4, 8]],
  ])(
    "%s: each is named, nothing of it is stored, and once restored the package is",
    async (_, files, parts) => {
      for (const file of files) await edit(file);
      expect([...(await refusedPush(parts))].sort()).toEqual(files.map((file) => `data/${pathOf(file)}`));
      await restore();
      await expectPushed();
    },
  );
});

describe("files of a reference package that are not there any more as they were", () => {
  test.each<readonly [string, (path: string) => Promise<void>]>([
    ["longer", (path) => appendFile(path, "more")],
    ["shorter", (path) => truncate(path, FILE - 1)],
    ["gone", (path) => rm(path)],
    [
      "a link to the same bytes",
      async (path) => {
        await rename(path, `${path}.away`);
        await symlink(`${path}.away`, path);
      },
    ],
  ])("%s: all are named, nothing is stored, and once restored the package is", async (_, change) => {
    const files = [1, 18, 40];
    for (const file of files) {
      edited.add(file);
      await change(desk.path(pathOf(file)));
    }
    const { exitCode, err } = await desk.run(["package", "push", id]);
    expect(exitCode).toBe(2);
    for (const file of files) expect(err).toContain(`data/${pathOf(file)}`);
    expect(bucket.proxy.exchanges.filter(({ operation }) => operation === "complete-upload")).toEqual([]);
    expect(await bucket.uploads()).toEqual([]);
    expect(await bucket.versions(`engagements/${ENGAGEMENT}/packages/${id}/`)).toEqual([]);
    await restore();
    await expectPushed();
  });

  test("written anew with the same bytes they are stored", async () => {
    edited.add(3);
    await rm(desk.path(pathOf(3)));
    await restore();
    await expectPushed();
  });
});
