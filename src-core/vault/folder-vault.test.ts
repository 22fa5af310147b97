import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  appendFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { ObjectInfo, UploadRef, Vault } from "../ports.ts";
import { createFolderVault } from "./folder-vault.ts";
import { collect, failureOf, memorySource, mounted, needsMount, scratch } from "./vault-fixtures.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const PART = 64 * 1024;

async function begun(vault: Vault, key: string, bytes: Uint8Array) {
  const upload = await vault.beginUpload(key, bytes.length, PART);
  const send = (number: number, from: Uint8Array = bytes) => {
    const offset = (number - 1) * PART;
    const size = Math.min(PART, bytes.length - offset);
    const digest = sha256(bytes.subarray(offset, offset + size));
    return vault.putPart(upload, { number, source: memorySource(from), offset, size, sha256: digest });
  };
  return { upload, send };
}

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => entry.name);
}

test("an upload is invisible until it is complete, then it holds exactly the bytes sent", async () => {
  using folder = scratch();
  const vault = createFolderVault(folder.path);
  const bytes = randomBytes(PART * 2 + 1000);
  const { upload, send } = await begun(vault, "a/b/x.tar", bytes);
  const parts = [await send(3), await send(1), await send(2)];
  expect(await vault.head("a/b/x.tar")).toBeNull();
  expect(await collect(vault.list(""))).toEqual([]);
  expect(await collect(vault.listUploads("a/"))).toMatchObject([
    { key: "a/b/x.tar", uploadId: upload.uploadId },
  ]);
  const info = await vault.completeUpload(upload, parts);
  expect(info.size).toBe(bytes.length);
  expect(readFileSync(join(folder.path, "a/b/x.tar")).equals(bytes)).toBe(true);
  expect(filesUnder(folder.path)).toEqual(["x.tar"]);
});

test("listParts tells what is really there: parts never sent are absent, damaged ones have another tag", async () => {
  using folder = scratch();
  const vault = createFolderVault(folder.path);
  const bytes = randomBytes(PART * 5);
  const { upload, send } = await begun(vault, "x.tar", bytes);
  await send(1);
  const third = await send(3);
  const fourth = await send(4);
  expect((await vault.listParts(upload)).map(({ number }) => number)).toEqual([1, 3, 4]);
  const file = join(folder.path, `.x.tar.${upload.uploadId}.upload`);
  const content = readFileSync(file);
  content[3 * PART + 5] = (content[3 * PART + 5] ?? 0) ^ 1;
  writeFileSync(file, content);
  const found = await vault.listParts(upload);
  expect(found[1]).toEqual(third);
  expect(found[2]?.tag).not.toBe(fourth.tag);
  truncateSync(file, 3 * PART + 10);
  expect((await vault.listParts(upload)).map(({ number }) => number)).toEqual([1, 3]);
  expect((await failureOf(vault.completeUpload(upload, [third]))).code).toBe("OBJECT_CHANGED");
});

test("a part whose bytes differ from the sealed digest is refused and named", async () => {
  using folder = scratch();
  const vault = createFolderVault(folder.path);
  const bytes = randomBytes(PART * 2);
  const { upload, send } = await begun(vault, "x.tar", bytes);
  await send(1);
  const failure = await failureOf(send(2, randomBytes(PART * 2)));
  expect(failure.code).toBe("DIGEST_MISMATCH");
  expect(failure.message).toContain("Part 2 of x.tar");
  await vault.abortUpload(upload);
  await vault.abortUpload(upload);
  expect(readdirSync(folder.path)).toEqual([]);
  expect((await failureOf(send(1))).code).toBe("OBJECT_CHANGED");
  expect((await failureOf(vault.listParts(upload))).code).toBe("OBJECT_CHANGED");
});

test("nothing stored is rewritten: other bytes under a taken key are refused, the same bytes are a success", async () => {
  using folder = scratch();
  const vault = createFolderVault(folder.path);
  const first = await vault.put("a/seal.json", Buffer.from("one"));
  expect(await vault.put("a/seal.json", Buffer.from("one"))).toEqual(first);
  expect((await failureOf(vault.put("a/seal.json", Buffer.from("two")))).code).toBe("OBJECT_CONFLICT");
  const bytes = randomBytes(10);
  const { upload, send } = await begun(vault, "a/seal.json", bytes);
  const part = await send(1);
  expect((await failureOf(vault.completeUpload(upload, [part]))).code).toBe("OBJECT_CONFLICT");
  await vault.abortUpload(upload);
  expect(readFileSync(join(folder.path, "a/seal.json"), "utf8")).toBe("one");
  expect(filesUnder(folder.path)).toEqual(["seal.json"]);
});

test("of many writers of one key exactly one wins", async () => {
  using folder = scratch();
  const vaults = Array.from({ length: 8 }, () => createFolderVault(folder.path));
  const results = await Promise.all(
    vaults.map((vault, i) => failureOf(vault.put("k/x", Buffer.from(`writer ${i}`)))),
  );
  expect(results.filter(({ code }) => code === "no failure")).toHaveLength(1);
  expect(results.filter(({ code }) => code === "OBJECT_CONFLICT")).toHaveLength(7);
  expect(filesUnder(folder.path)).toEqual(["x"]);
});

test("keys that could leave the vault, or that could not be listed, are refused", async () => {
  using folder = scratch();
  const vault = createFolderVault(join(folder.path));
  const hostile = [
    "",
    "/etc/passwd",
    "a/../../x",
    "..",
    ".",
    "a//b",
    "a/",
    "a\\b",
    "a\0b",
    "a/./b",
    ".hidden",
    "a/\ud800",
  ];
  for (const key of hostile) {
    expect((await failureOf(vault.put(key, Buffer.from("x")))).code, key).toBe("INVALID_INPUT");
    expect((await failureOf(vault.head(key))).code, key).toBe("INVALID_INPUT");
  }
  const upload: UploadRef = { key: "a", uploadId: "../../x", size: 1, partSize: 1 };
  expect((await failureOf(vault.abortUpload(upload))).code).toBe("INVALID_INPUT");
});

test("symbolic links inside the vault are neither followed, listed nor written through", async () => {
  using folder = scratch();
  using outside = scratch();
  writeFileSync(join(outside.path, "secret"), "secret");
  symlinkSync(outside.path, join(folder.path, "linked"));
  mkdirSync(join(folder.path, "real"));
  symlinkSync(join(outside.path, "secret"), join(folder.path, "real", "x"));
  const vault = createFolderVault(folder.path);
  const forged: ObjectInfo = { key: "real/x", size: 6, version: "any" };
  const tries = [
    vault.head("linked/secret"),
    vault.head("real/x"),
    vault.put("linked/new", Buffer.from("x")),
    vault.put("real/x", Buffer.from("x")),
    vault.beginUpload("linked/deep/new", 1, 512),
    vault.getRange(forged, 0, new Uint8Array(6)),
    vault.delete("real/x"),
  ];
  for (const { code } of await Promise.all(tries.map(failureOf))) expect(code).toBe("PATH_NOT_EVIDENCE");
  expect(await collect(vault.list(""))).toEqual([]);
  expect(readdirSync(outside.path)).toEqual(["secret"]);
  expect(readFileSync(join(outside.path, "secret"), "utf8")).toBe("secret");
});

test("objects are listed in bytewise order of key, whatever lies between them", async () => {
  using folder = scratch();
  const vault = createFolderVault(folder.path);
  const keys = ["a-b/x", "a/x", "a/y/z", "a.txt", "é/x", "z", "\u{1f600}", "\uffee"];
  for (const key of keys) await vault.put(key, Buffer.from(key));
  writeFileSync(join(folder.path, "a", ".hidden"), "");
  const listed = (await collect(vault.list(""))).map(({ key }) => key);
  expect(listed).toEqual(
    [...keys].sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other))),
  );
  expect((await collect(vault.list("a"))).map(({ key }) => key)).toEqual(["a-b/x", "a.txt", "a/x", "a/y/z"]);
  expect((await collect(vault.list("a/y"))).map(({ key }) => key)).toEqual(["a/y/z"]);
  expect(await collect(vault.list("none/"))).toEqual([]);
});

test("a range is of the version that was asked for, or it is refused", async () => {
  using folder = scratch();
  const vault = createFolderVault(folder.path);
  const bytes = randomBytes(1000);
  const object = await vault.put("x", bytes);
  const target = new Uint8Array(10);
  await vault.getRange(object, 990, target);
  expect(Buffer.from(target).equals(bytes.subarray(990))).toBe(true);
  const file = join(folder.path, "x");
  truncateSync(file, 500);
  expect((await failureOf(vault.getRange(object, 0, target))).code).toBe("OBJECT_CHANGED");
  appendFileSync(file, bytes.subarray(500));
  const failure = await failureOf(vault.getRange(object, 0, target));
  expect(failure).toMatchObject({ code: "OBJECT_CHANGED", message: expect.stringContaining(file) });
  await vault.delete("x");
  await vault.delete("x");
  expect((await failureOf(vault.getRange(object, 0, target))).code).toBe("OBJECT_CHANGED");
});

test("an upload that was linked but not yet renamed away when its process died is completed again", async () => {
  using folder = scratch();
  const vault = createFolderVault(folder.path);
  const bytes = randomBytes(100);
  const { upload, send } = await begun(vault, "x.tar", bytes);
  const part = await send(1);
  linkSync(join(folder.path, `.x.tar.${upload.uploadId}.upload`), join(folder.path, "x.tar"));
  expect((await vault.completeUpload(upload, [part])).size).toBe(100);
  expect(readdirSync(folder.path)).toEqual(["x.tar"]);
});

test("a vault that is not there says so and makes no folder", async () => {
  using folder = scratch();
  const path = join(folder.path, "stick");
  const vault = createFolderVault(path);
  const attempts = [
    () => vault.put("a", Buffer.from("x")),
    () => vault.head("a"),
    () => collect(vault.list("")),
  ];
  for (const attempt of attempts) {
    const failure = await failureOf(attempt());
    expect(failure.code).toBe("VAULT_UNREACHABLE");
    expect(failure.message).toContain(path);
  }
  expect(existsSync(path)).toBe(false);
});

test("a full disk, a read-only disk and a disk that was unplugged are told apart, and leave nothing", async ({
  skip,
}) => {
  needsMount(skip);
  using folder = scratch();
  using mount = mounted(folder.path, "-t", "tmpfs", "-o", "size=1m", "tmpfs");
  const vault = createFolderVault(folder.path);
  const full = await failureOf(vault.put("big", Buffer.alloc(2 * 1024 * 1024, 1)));
  expect(full.code).toBe("DISK_FULL");
  expect(readdirSync(folder.path)).toEqual([]);
  const bytes = randomBytes(PART * 30);
  const { upload, send } = await begun(vault, "x.tar", bytes);
  const sent: string[] = [];
  for (let number = 1; number <= 30; number++) sent.push((await failureOf(send(number))).code);
  expect(sent).toContain("DISK_FULL");
  expect(await vault.head("x.tar")).toBeNull();
  await vault.abortUpload(upload);
  const small = await vault.put("small", Buffer.from("x"));
  using _readOnly = { [Symbol.dispose]: mount.unmount };
  execFileSync("mount", ["-o", "remount,ro", folder.path]);
  expect((await failureOf(vault.put("more", Buffer.from("x")))).code).toBe("WRITE_REFUSED");
  expect((await failureOf(vault.getRange(small, 0, new Uint8Array(1)))).code).toBe("no failure");
  mount.unmount();
  expect((await failureOf(vault.head("small"))).code).toBe("VAULT_UNREACHABLE");
  expect((await failureOf(vault.put("more", Buffer.from("x")))).code).toBe("VAULT_UNREACHABLE");
  expect(readdirSync(folder.path)).toEqual([]);
});
