import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "strongroom-memory-"));
  mkdirSync(join(folder, "ev"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const SCRIPT = fileURLToPath(new URL("../testing/measure-seal.ts", import.meta.url));

async function sealed(
  mode: "copy" | "reference",
): Promise<{ readonly files: number; readonly megabytes: number }> {
  const args = [
    "--disable-warning=ExperimentalWarning",
    SCRIPT,
    join(folder, "home"),
    join(folder, "ev"),
    mode,
  ];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout);
}

test("a file of 3 GiB is sealed by reference in less than 250 MB", async () => {
  writeFileSync(join(folder, "ev", "disk.img"), "");
  truncateSync(join(folder, "ev", "disk.img"), 3 * 1024 ** 3);
  const { files, megabytes } = await sealed("reference");
  expect(files).toBe(1);
  expect(megabytes).toBeLessThan(250);
});

test("20,000 small files are sealed in less than 320 MB: a manifest of any length is written as a stream", async () => {
  for (let i = 0; i < 20; i++) {
    mkdirSync(join(folder, "ev", String(i)));
    for (let j = 0; j < 1000; j++)
      writeFileSync(join(folder, "ev", String(i), `evidence-${j}.txt`), "x".repeat(j));
  }
  const { files, megabytes } = await sealed("copy");
  expect(files).toBe(20_000);
  expect(megabytes).toBeLessThan(320);
});
