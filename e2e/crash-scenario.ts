import { createHash, generateKeyPairSync } from "node:crypto";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import Database from "better-sqlite3";
import { expect } from "vitest";
import { type Killed, type Trace, traceSteps } from "./crash-run.ts";
import { type Desk, type Finished, runProgram } from "./run-cli.ts";

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
}

export const inStates = (work: string, ...states: readonly string[]) =>
  states.map((state) => `${work} ${state}`);

/** Evidence of three parts and some small files, an engagement with a vault, and a key to sign with. */
export async function equip(desk: Desk): Promise<void> {
  process.env.STRONGROOM_KEY_PASSPHRASE = PASSPHRASE;
  await desk.engage(ENGAGEMENT);
  const block = createHash("sha512").update(desk.folder).digest();
  await desk.write("evidence/disk.img", Buffer.alloc(36_000_000, block));
  for (let i = 0; i < 40; i++) await desk.write(`evidence/mail/${i}.txt`, `message ${i}\n`.repeat(i * 20));
  const { privateKey } = generateKeyPairSync("ed25519");
  const cipher = { cipher: "aes-256-cbc", passphrase: PASSPHRASE };
  await desk.write("key.pem", privateKey.export({ format: "pem", type: "pkcs8", ...cipher }));
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

async function copyTree(from: string, to: string): Promise<void> {
  const { exitCode, err } = await runProgram("cp", ["-a", from, to]);
  if (exitCode !== 0) throw new Error(`cp -a ${from} ${to}: ${err}`);
}

/** Runs the command once to its end from where every case begins, and puts that back. */
export async function traced(desk: Desk, args: readonly string[], snapshot: Snapshot): Promise<Trace> {
  const trace = await traceSteps(desk, args);
  await snapshot.restore();
  return trace;
}
