import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createFolderVault } from "./folder-vault.ts";
import { describeStreams } from "./stream-fixtures.ts";
import { scratch } from "./vault-fixtures.ts";

describeStreams("a vault in a folder", async () => {
  const folder = scratch();
  return {
    vault: createFolderVault(folder.path),
    again: () => createFolderVault(folder.path),
    replace: async (key, bytes) => writeFileSync(join(folder.path, key), bytes),
    [Symbol.asyncDispose]: async () => folder[Symbol.dispose](),
  };
});

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

test("the digest beside an object is one that sha256sum checks", async () => {
  using folder = scratch();
  const vault = createFolderVault(folder.path);
  await vault.put("c/über maß.json", Buffer.from("{}"), { metadata: { sha256: sha256("{}") } });
  const cwd = join(folder.path, "c");
  expect(execFileSync("sha256sum", ["-c", ".über maß.json.sha256"], { cwd, encoding: "utf8" })).toBe(
    "über maß.json: OK\n",
  );
  expect(readFileSync(join(cwd, ".über maß.json.sha256"), "utf8")).toBe(`${sha256("{}")}  über maß.json\n`);
});

test("what another program wrote beside it counts if it is of that form; anything else is none", async () => {
  using folder = scratch();
  const vault = createFolderVault(folder.path);
  await vault.put("c/x", Buffer.from("x"));
  const beside = join(folder.path, "c", ".x.sha256");
  const told = async () => (await vault.head("c/x"))?.metadata;
  writeFileSync(beside, `${sha256("x").toUpperCase()} *x\n`);
  expect(await told()).toEqual({ sha256: sha256("x") });
  for (const text of ["", "x", `${sha256("x").slice(1)}  x\n`, `${sha256("x")}\n`]) {
    writeFileSync(beside, text);
    expect(await told()).toEqual({});
  }
  rmSync(beside);
  symlinkSync("/dev/zero", beside);
  expect(await told()).toEqual({});
  rmSync(beside);
  mkdirSync(beside);
  expect(await told()).toEqual({});
  rmSync(beside, { recursive: true });
  execFileSync("mkfifo", [beside]);
  expect(await told()).toEqual({});
});

test("a digest that a killed process could not write is written when the same bytes are stored again", async () => {
  using folder = scratch();
  const vault = createFolderVault(folder.path);
  const options = { metadata: { sha256: sha256("x") } };
  await vault.put("c/x", Buffer.from("x"), options);
  rmSync(join(folder.path, "c", ".x.sha256"));
  await vault.put("c/x", Buffer.from("x"), options);
  expect((await vault.head("c/x"))?.metadata).toEqual(options.metadata);
});
