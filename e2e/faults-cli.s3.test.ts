import { readdir, readFile } from "node:fs/promises";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Seal } from "../src-contract/seal.ts";
import { sealOf } from "./crash-scenario.ts";
import { sha256 } from "./fault-package.ts";
import { Desk, type Finished } from "./run-cli.ts";
import { StoreBucket } from "./store-bucket.ts";
import type { Fault, RuleOptions } from "./support/fault.ts";
import { SLOW_DOWN } from "./support/fault-catalogue.ts";

const ENGAGEMENT = "acme-2026";
/** One part of 16 MiB and a short one. */
const SIZE = 2 ** 24 + 2 ** 18;
const ALWAYS = Number.POSITIVE_INFINITY;
const FLIP: Fault = { kind: "flip-download" };
const RESET: Fault = { kind: "reset", when: "before-response" };
const EXPIRED: Fault = { kind: "refuse", refusal: { status: 400, code: "ExpiredToken" } };
const DENIED: Fault = { kind: "refuse", refusal: { status: 403, code: "AccessDenied" } };

let bucket: StoreBucket;
let desk: Desk;
let content: Buffer;
let id: string;
let seal: Seal;
const inVault = (name: string) => `engagements/${ENGAGEMENT}/packages/${id}/${name}`;
const ARCHIVE = /\.tar$/;
const SEAL = /\/seal\.json$/;

beforeAll(async () => {
  bucket = await StoreBucket.open();
  desk = await Desk.open();
  await bucket.engage(desk, ENGAGEMENT);
  content = Buffer.alloc(SIZE);
  for (let at = 0; at < SIZE; at += 4096) content.fill(`block ${at} `, at, at + 4096);
  await desk.write("evidence/disk.bin", content);
});
beforeEach(() => {
  bucket.proxy.clearRules();
  bucket.proxy.forget();
});
afterAll(async () => {
  await bucket.proxy.close();
  await desk.close();
});

async function build(): Promise<void> {
  id = await desk.build(ENGAGEMENT, "week-1", "evidence");
  seal = await sealOf(desk, id);
}

/** Runs a command; nothing that it says tells a secret or lets anybody repeat a request. */
async function run(...args: readonly string[]): Promise<Finished> {
  const finished = await desk.run(args);
  const { accessKeyId, secretAccessKey } = bucket.store.facts;
  for (const text of [finished.out, finished.err]) {
    expect(text).not.toContain(accessKeyId);
    expect(text).not.toContain(secretAccessKey);
    expect(text).not.toMatch(/AWS4-HMAC|Signature=|Credential=/);
  }
  return finished;
}

/** A command that stops says why, and what to do next, and ends with 2: nothing was found to be wrong. */
async function stops(code: string, next: RegExp, ...args: readonly string[]): Promise<void> {
  const finished = await run(...args, "--json");
  const { ok, failure } = JSON.parse(finished.out);
  expect([ok, failure.code, finished.exitCode]).toEqual([false, code, 2]);
  expect(failure.message.length).toBeGreaterThan(20);
  expect(failure.nextStep).toMatch(next);
}

async function succeeds(...args: readonly string[]): Promise<void> {
  const finished = await run(...args);
  expect(finished.exitCode, `${args.join(" ")}: ${finished.out}${finished.err}`).toBe(0);
}

const strike = (...rules: readonly RuleOptions[]) => {
  for (const rule of rules) bucket.proxy.rule(rule);
};
/** Past the program and the proxy. */
async function replaceArchive(Body: Uint8Array): Promise<void> {
  const object = { Bucket: bucket.name, Key: inVault(seal.archive), Body };
  await bucket.store.client.send(new PutObjectCommand(object));
}
const sealIsThere = async () => (await bucket.versions(inVault("seal.json"))).length > 0;

async function expectStored(): Promise<void> {
  bucket.proxy.clearRules();
  const archive = Buffer.from(await bucket.bytes({ key: inVault(seal.archive) }));
  const digests = seal.parts.map((_, part) =>
    sha256(archive.subarray(part * seal.partSize, (part + 1) * seal.partSize)),
  );
  expect([archive.length, digests]).toEqual([seal.archiveSize, seal.parts]);
  expect(await sealIsThere()).toBe(true);
  expect(await bucket.uploads()).toEqual([]);
  await succeeds("verify", id, "--remote", "--full");
}

describe("push", () => {
  beforeEach(build);

  test("overcomes an error, a lost answer and a lost success in one run", async () => {
    strike(
      { operation: "create-upload", fault: { kind: "refuse", refusal: SLOW_DOWN } },
      { operation: "upload-part", part: 2, fault: { kind: "flip-upload" } },
      { operation: "complete-upload", fault: { kind: "drop-reply" } },
      { operation: "put", key: SEAL, fault: { kind: "refuse-after-success", refusal: SLOW_DOWN } },
    );
    await succeeds("package", "push", id);
    await expectStored();
  });

  test.each<readonly [string, RuleOptions, string, RegExp]>([
    [
      "the store takes no seal",
      { operation: "put", key: SEAL, times: ALWAYS, fault: RESET },
      "VAULT_UNREACHABLE",
      /same command again/,
    ],
    [
      "the token expires before the end",
      { operation: "complete-upload", fault: EXPIRED },
      "CREDENTIALS_REFUSED",
      /vault set-credentials office/,
    ],
    ["the clock is wrong", { operation: "create-upload", fault: skewed() }, "CLOCK_SKEWED", /clock/],
  ])("%s: stops, and goes on where it was", async (_, rule, code, next) => {
    strike(rule);
    await stops(code, next, "package", "push", id);
    expect(await sealIsThere()).toBe(false);
    const told = bucket.proxy.exchanges.filter(
      ({ operation, status }) => operation === "upload-part" && status === 200,
    );
    const waiting = await run("transfers", "list", "--json");
    expect(waiting.out).toContain(code);
    bucket.proxy.clearRules();
    const before = bucket.proxy.exchanges.length;
    await succeeds("package", "push", id);
    const again = bucket.proxy.exchanges.slice(before).filter(({ operation }) => operation === "upload-part");
    expect(again.length + told.length).toBe(seal.parts.length);
    await expectStored();
  });

  test("without a network: stops, and is done once it is back", async () => {
    await bucket.proxy.goOffline();
    await stops("VAULT_UNREACHABLE", /connection/, "package", "push", id);
    await bucket.proxy.goOnline();
    await succeeds("package", "push", id);
    await expectStored();
  });
});

function skewed(): Fault {
  return { kind: "refuse", refusal: { status: 403, code: "RequestTimeTooSkewed" } };
}

describe("of a package that is in the vault alone,", () => {
  let author: Desk;
  beforeAll(async () => {
    await build();
    await succeeds("package", "push", id);
    author = desk;
    desk = await Desk.open();
    await bucket.engage(desk, ENGAGEMENT);
    await succeeds("sync", ENGAGEMENT);
  });
  afterAll(async () => {
    await desk.close();
    desk = author;
  });
  const ranges = (nth: number, fault: Fault): RuleOptions => ({
    operation: "get",
    key: ARCHIVE,
    ranged: true,
    nth,
    fault,
  });

  test("a pull overcomes damaged, cut and wrong answers, and what it brings is right", async () => {
    strike(
      ranges(1, FLIP),
      ranges(2, { kind: "whole-for-range" }),
      ranges(3, { kind: "truncate", honest: false }),
    );
    await succeeds("package", "pull", id, "--to", "right", "--as", "tar");
    await succeeds("verify", desk.path("right", seal.archive), "--full");
    const archive = await readFile(desk.path("right", seal.archive));
    expect(sha256(archive.subarray(0, seal.partSize))).toBe(seal.parts[0]);
  });

  test("a pull that is refused leaves nothing that looks whole, and goes on where it was", async () => {
    strike({ ...ranges(2, DENIED), times: ALWAYS });
    const pull = ["package", "pull", id, "--to", "denied", "--as", "bag"];
    // Threads that digest behind the parts are given up at every time of their work.
    for (let again = 0; again < 5; again++) {
      await stops("PERMISSION_MISSING", /s3:GetObject/, ...pull);
      const names = await readdir(desk.path("denied"));
      expect(names.filter((name) => !name.startsWith("."))).toEqual([]);
    }
    bucket.proxy.clearRules();
    await succeeds(...pull);
    await succeeds("verify", desk.path("denied", "week-1"));
    const disk = await readFile(desk.path("denied", "week-1", "data", "evidence", "disk.bin"));
    expect(sha256(disk)).toBe(sha256(content));
  });

  test("a file of it is right, or not there", async () => {
    const pull = ["package", "pull", id, "--file", "data/evidence/disk.bin", "--to", "file"];
    strike({ ...ranges(1, FLIP), times: ALWAYS });
    await stops("DIGEST_MISMATCH", /./, ...pull);
    expect(await readdir(desk.path("file"))).toEqual([]);
    bucket.proxy.clearRules();
    strike(ranges(1, FLIP), ranges(2, { kind: "other-range", shift: 1 }));
    await succeeds(...pull);
    expect(sha256(await readFile(desk.path("file", "disk.bin")))).toBe(sha256(content));
  });

  test("a verification is said only when it was done", async () => {
    strike({ ...ranges(2, RESET), times: ALWAYS });
    await stops("VAULT_UNREACHABLE", /same command again/, "verify", id, "--remote", "--full");
    bucket.proxy.clearRules();
    const replaced = Buffer.alloc(seal.archiveSize, "other");
    const archive = Buffer.from(await bucket.bytes({ key: inVault(seal.archive) }));
    strike({
      operation: "get",
      key: ARCHIVE,
      ranged: true,
      nth: 2,
      before: () => replaceArchive(replaced),
    });
    await stops("OBJECT_CHANGED", /./, "verify", id, "--remote", "--full");
    expect((await run("verify", id, "--remote", "--full")).exitCode).toBe(1);
    await replaceArchive(archive);
    strike(ranges(1, FLIP));
    await succeeds("verify", id, "--remote", "--full");
  });
});
