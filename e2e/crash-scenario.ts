import { createHash, generateKeyPairSync } from "node:crypto";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import Database from "better-sqlite3";
import { expect } from "vitest";
import { type Seal, sealSchema } from "../src-contract/seal.ts";
import { type Killed, type Trace, traceSteps } from "./crash-run.ts";
import { type Desk, type Finished, runProgram } from "./run-cli.ts";
import type { FaultProxy } from "./support/fault-proxy.ts";

export const ENGAGEMENT = "acme-2026";
export const PACKAGE_NAME = "week-1";
const PASSPHRASE = "correct horse";

/** A command that is killed and run again, and what must hold then. */
export interface Scenario {
  readonly name: string;
  readonly work: "build" | "push" | "pull";
  readonly args: readonly string[];
  /** States of the journal that must be hit. */
  readonly states: readonly string[];
  /** Those of them that last long enough for another process to see. */
  readonly lasting: readonly string[];
  readonly desk: Desk;
  /** What the command takes for its store, where it has one. */
  readonly proxy?: FaultProxy | undefined;
  /** Of the package that is transferred, where one is. */
  readonly seal?: Seal;
  readonly trace: Trace;
  /** Puts back what the next case begins with. */
  begin(): Promise<void>;
  afterKill(killed: Killed): Promise<void>;
  /** Whether an end with a failure only says that all was done before; what was done is then checked like any other end. */
  readonly isDone: (failed: Finished) => boolean;
  /** After the command has ended. */
  afterEnd(finished: Finished): Promise<void>;
  /** What can only be checked over all cases. */
  end(): Promise<void>;
  /** Removes what the scenario made. */
  close(): Promise<void>;
}

/** States in which nothing goes on: no process can be killed in them. */
const ENDED: ReadonlySet<string> = new Set(["cancelled", "failed"]);
export const isPassed = (state: string) => !ENDED.has(state);

export const inStates = (work: string, ...states: readonly string[]) =>
  states.map((state) => `${work} ${state}`);

/** A package of three parts. */
const SMALL_DISK = 36_000_000;

/** An engagement with a vault, a folder unless it is another, `diskBytes` and some small files of evidence, and a key to sign with. */
export async function equip(
  desk: Desk,
  {
    engage = () => desk.engage(ENGAGEMENT).then(() => undefined),
    diskBytes = SMALL_DISK,
  }: { readonly engage?: (desk: Desk) => Promise<void>; readonly diskBytes?: number } = {},
): Promise<void> {
  process.env.STRONGROOM_KEY_PASSPHRASE = PASSPHRASE;
  await engage(desk);
  await desk.write("evidence/disk.img", diskImage(diskBytes, desk.folder));
  for (let i = 0; i < 40; i++) await desk.write(`evidence/mail/${i}.txt`, `message ${i}\n`.repeat(i * 20));
  const { privateKey } = generateKeyPairSync("ed25519");
  const cipher = { cipher: "aes-256-cbc", passphrase: PASSPHRASE };
  await desk.write("key.pem", privateKey.export({ format: "pem", type: "pkcs8", ...cipher }));
}

/** No two MiB of it are the same, nor are two disks of different names. */
function diskImage(size: number, name: string): Buffer {
  const image = Buffer.alloc(size);
  for (let at = 0; at < size; at += 2 ** 20)
    image.fill(createHash("sha512").update(`${name} ${at}`).digest(), at, Math.min(at + 2 ** 20, size));
  return image;
}

export function buildArgs(mode: "copy" | "reference"): readonly string[] {
  const more = mode === "reference" ? ["--reference"] : [];
  const name = ["--name", PACKAGE_NAME];
  return ["package", "build", ENGAGEMENT, "evidence", ...name, "--key", "key.pem", "--quiet", ...more];
}

/** Runs a command that must succeed. */
export async function must(desk: Desk, ...args: readonly string[]): Promise<Finished> {
  const finished = await desk.run(args);
  expect(finished.exitCode, `${args.join(" ")}: ${JSON.stringify(finished)}`).toBe(0);
  return finished;
}

/** Ids of all packages that the program lists. */
export async function listedPackages(desk: Desk): Promise<readonly string[]> {
  const answer: unknown = JSON.parse((await must(desk, "package", "list", "--json")).out);
  const value: unknown = Reflect.get(Object(answer), "value");
  if (!Array.isArray(value)) throw new Error("package list answered with no list");
  return value.map((row: unknown) => String(Reflect.get(Object(row), "id")));
}

/** The seal of a package that this desk holds or has sealed by reference. */
export async function sealOf(desk: Desk, packageId: string): Promise<Seal> {
  const text = await readFile(desk.path("home", "packages", packageId, "seal.json"), "utf8");
  return sealSchema.parse(JSON.parse(text));
}

/** One column of a query on the ledger, read from outside. */
export function fromLedger(home: string, sql: string, ...parameters: readonly string[]): readonly unknown[] {
  const ledger = new Database(join(home, "ledger.db"), { readonly: true, timeout: 10_000 });
  try {
    return ledger
      .prepare(sql)
      .pluck()
      .all(...parameters);
  } finally {
    ledger.close();
  }
}

/** SHA-256 of every file below a folder, by path; empty when there is no such folder. */
export async function digestsBelow(folder: string): Promise<ReadonlyMap<string, string>> {
  const digests = new Map<string, string>();
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const sha256 = createHash("sha256")
      .update(await readFile(path))
      .digest("hex");
    digests.set(path.slice(folder.length + 1), sha256);
  }
  return digests;
}

/** Copies folders of a desk, times included, and puts them back as often as needed. */
export class Snapshot {
  readonly #desk: Desk;
  readonly #folders: readonly string[];

  private constructor(desk: Desk, folders: readonly string[]) {
    this.#desk = desk;
    this.#folders = folders;
  }

  static async of(desk: Desk, ...folders: readonly string[]): Promise<Snapshot> {
    for (const folder of folders) await copyTree(desk.path(folder), desk.path(`${folder}.kept`));
    return new Snapshot(desk, folders);
  }

  async restore(): Promise<void> {
    for (const folder of this.#folders) {
      await rm(this.#desk.path(folder), { recursive: true, force: true });
      await copyTree(this.#desk.path(`${folder}.kept`), this.#desk.path(folder));
    }
  }
}

/** Copies a folder, times included. */
export async function copyTree(from: string, to: string): Promise<void> {
  const { exitCode, err } = await runProgram("cp", ["-a", from, to]);
  if (exitCode !== 0) throw new Error(`cp -a ${from} ${to}: ${err}`);
}

/** Runs the command once to its end from where every case begins, and puts that back. */
export async function traced(desk: Desk, args: readonly string[], snapshot: Snapshot): Promise<Trace> {
  const trace = await traceSteps(desk, args);
  await snapshot.restore();
  return trace;
}
