import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { HealthProbe, VaultHealth } from "../../src-contract/vault-api.ts";
import { assertFits } from "./folder-health.ts";
import { createFolderVault } from "./folder-vault.ts";
import { failureOf, mounted, needsMount, scratch } from "./vault-fixtures.ts";

const GIB = 1024 ** 3;
const probe = (health: VaultHealth, name: HealthProbe["name"]) =>
  health.probes.find((one) => one.name === name)?.result;
const fits = (...args: Parameters<typeof assertFits>) =>
  failureOf(Promise.resolve().then(() => assertFits(...args)));

test("a good folder is fit, and the probes leave nothing behind", async () => {
  using folder = scratch();
  const health = await createFolderVault(folder.path).health();
  expect(health).toMatchObject({ fit: true, maxFileBytes: null, caseSensitive: true });
  expect(health.probes.map(({ result }) => result)).toEqual(health.probes.map(() => "ok"));
  expect(health.probes).toHaveLength(9);
  expect(health.freeBytes).toBeGreaterThan(0);
  expect(readdirSync(folder.path)).toEqual([]);
  expect((await fits(health, 1024)).code).toBe("no failure");
});

test("a folder that is not there, or is a file, is reported as data", async () => {
  using folder = scratch();
  const gone = await createFolderVault(join(folder.path, "gone")).health();
  expect(gone.fit).toBe(false);
  expect(probe(gone, "reachable")).toBe("failed");
  const refused = await fits(gone, 1024);
  expect(refused.code).toBe("VAULT_UNREACHABLE");
  expect(refused.message).toMatch(/[^.]\.$/);
  writeFileSync(join(folder.path, "file"), "");
  expect((await createFolderVault(join(folder.path, "file")).health()).fit).toBe(false);
});

test("a vault whose folder is reached over a symbolic link is a vault like any other", async () => {
  using folder = scratch();
  using home = scratch();
  symlinkSync(folder.path, join(home.path, "vault"));
  const vault = createFolderVault(join(home.path, "vault"));
  expect((await vault.health()).fit).toBe(true);
  expect((await vault.put("a", Buffer.from("x"))).size).toBe(1);
});

test("what is too large is refused with both sizes, before anything is sent", async () => {
  const health: VaultHealth = {
    fit: true,
    freeBytes: 5 * GIB,
    maxFileBytes: 2 ** 32 - 1,
    caseSensitive: true,
    probes: [],
  };
  const tooLarge = await fits(health, 4 * GIB);
  expect(tooLarge.code).toBe("VAULT_UNFIT");
  expect(tooLarge.message).toContain(String(4 * GIB));
  expect(tooLarge.message).toContain("4294967295");
  const full = await fits({ ...health, maxFileBytes: null }, 6 * GIB);
  expect(full.code).toBe("DISK_FULL");
  expect(full.message).toContain(String(5 * GIB));
  expect((await fits({ ...health, maxFileBytes: null }, 6 * GIB, GIB)).code).toBe("no failure");
});

test("a read-only disk is unfit", async ({ skip }) => {
  needsMount(skip);
  using folder = scratch();
  using _mount = mounted(folder.path, "-t", "tmpfs", "-o", "size=8m,ro", "tmpfs");
  const health = await createFolderVault(folder.path).health();
  expect(health.fit).toBe(false);
  expect(probe(health, "writable")).toBe("failed");
  expect((await fits(health, 1024)).code).toBe("VAULT_UNFIT");
});

test("a full disk is reported as full, with what is needed and what is free", async ({ skip }) => {
  needsMount(skip);
  using folder = scratch();
  using _mount = mounted(folder.path, "-t", "tmpfs", "-o", "size=64k", "tmpfs");
  writeFileSync(join(folder.path, "filler"), Buffer.alloc(64 * 1024));
  const health = await createFolderVault(folder.path).health();
  expect(health).toMatchObject({ fit: false, freeBytes: 0 });
  expect(await fits(health, 5000)).toMatchObject({
    code: "DISK_FULL",
    message: expect.stringContaining("0 are free"),
  });
  expect(readdirSync(folder.path)).toEqual(["filler"]);
});

function knowsFat(): boolean {
  const made = spawnSync("mkfs.vfat", ["--help"]);
  return made.error === undefined && readFileSync("/proc/filesystems", "utf8").includes("vfat");
}

test("a FAT32 disk is known by its limit of 4 GiB and still holds small packages", async ({ skip }) => {
  needsMount(skip);
  skip(!knowsFat(), "needs mkfs.vfat and a kernel that knows vfat");
  using folder = scratch();
  using images = scratch();
  const image = join(images.path, "fat.img");
  writeFileSync(image, "");
  truncateSync(image, 64 * 1024 * 1024);
  execFileSync("mkfs.vfat", ["-F", "32", image], { stdio: "ignore" });
  using _mount = mounted(folder.path, "-o", "loop", image);
  const vault = createFolderVault(folder.path);
  const health = await vault.health();
  expect(health).toMatchObject({ fit: true, maxFileBytes: 2 ** 32 - 1, caseSensitive: false });
  expect(probe(health, "create only")).toBe("limited");
  expect(readdirSync(folder.path)).toEqual([]);
  await vault.put("a/x", Buffer.from("one"));
  expect((await failureOf(vault.put("a/x", Buffer.from("two")))).code).toBe("OBJECT_CONFLICT");
  expect(readdirSync(join(folder.path, "a"))).toEqual(["x"]);
});
