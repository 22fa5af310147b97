import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Failure } from "../../src-contract/failure.ts";
import { FailureError } from "../failing.ts";
import type { RangeSource } from "../ports.ts";

/** For tests only: a folder that is removed when `using` ends. */
export function scratch(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), "strongroom-vault-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** The code of the Failure that a promise ends in, with its words; "no failure" when it does not. */
export async function failureOf(
  work: Promise<unknown>,
): Promise<Omit<Failure, "code"> & { readonly code: string }> {
  try {
    await work;
  } catch (error) {
    if (error instanceof FailureError) return error.failure;
    throw error;
  }
  return { code: "no failure", message: "", nextStep: "" };
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

export function memorySource(bytes: Uint8Array): RangeSource {
  return {
    size: bytes.length,
    async read(offset, target) {
      if (offset + target.length > bytes.length) throw new Error("read beyond the end");
      target.set(bytes.subarray(offset, offset + target.length));
    },
    close: async () => undefined,
  };
}

/** Mounting needs root; on CI a test that cannot mount fails instead of being skipped. */
export function needsMount(skip: (condition: boolean, note: string) => void): void {
  skip(process.getuid?.() !== 0 && process.env.CI !== "true", "needs root, to mount a file system");
}

/** A file system of its own at `path`, taken away when `using` ends. */
export function mounted(
  path: string,
  ...options: readonly string[]
): Disposable & { readonly unmount: () => void } {
  execFileSync("mount", [...options, path]);
  let there = true;
  const unmount = () => {
    if (there) execFileSync("umount", ["-l", path]);
    there = false;
  };
  return { unmount, [Symbol.dispose]: unmount };
}
