import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { compileCacheFolder } from "./compile-cache.ts";

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "strongroom-cache-"));
});
afterEach(() => {
  rmSync(home, { recursive: true });
});

test("lies in the user's cache folder, private to the user", () => {
  const folder = compileCacheFolder({}, home);
  expect(folder).toBe(join(home, ".cache", "strongroom", "compiled"));
  expect(statSync(folder ?? "").mode & 0o777).toBe(0o700);
  expect(compileCacheFolder({ XDG_CACHE_HOME: join(home, "xdg") }, home)).toBe(
    join(home, "xdg", "strongroom", "compiled"),
  );
});

test("is not used where others can write, or where something else is in the way", () => {
  mkdirSync(join(home, ".cache", "strongroom"), { recursive: true });
  chmodSync(join(home, ".cache", "strongroom"), 0o777);
  expect(compileCacheFolder({}, home)).toBeNull();

  mkdirSync(join(home, "elsewhere"));
  mkdirSync(join(home, "linked"));
  symlinkSync(join(home, "elsewhere"), join(home, "linked", "strongroom"));
  expect(compileCacheFolder({ XDG_CACHE_HOME: join(home, "linked") }, home)).toBeNull();

  writeFileSync(join(home, "file"), "");
  expect(compileCacheFolder({ XDG_CACHE_HOME: join(home, "file") }, home)).toBeNull();
  expect(compileCacheFolder({}, join(home, "no-such-home"))).toBeNull();
  expect(compileCacheFolder({ XDG_CACHE_HOME: "/proc/no-such-cache" }, home)).toBeNull();
});
