import { mkdtemp, readdir, rename, rmdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { exists, syncFolder } from "../durable-files.ts";
import { fail } from "../failing.ts";
import { removeFolder } from "../package/package-store.ts";

const SEAL_SUFFIX = ".seal.json";

/**
 * Where a package is fetched before it gets its place: one name for all tries, so that what was interrupted goes on where it stopped.
 * It lies in the folder that was asked for, since only inside one file system a rename is a single step.
 */
export function scratchFolder(to: string, packageId: string): string {
  return join(to, `.strongroom-pull-${packageId}`);
}

/** The name in the scratch folder of what is whole and verified and has only to be moved. */
export function readyName(as: "bag" | "tar"): string {
  return `ready-${as}`;
}

/** How folders begin in which things are gathered. */
const GATHERED = "gathered-";

/**
 * Gathers what was fetched, or unpacked from it, under the name `ready`, which it gets in one step. From then on a process that is killed
 * while it gives the entries their places is followed by one that goes on with those that are left.
 */
export async function makeReady(scratch: string, ready: string, entries: readonly string[]): Promise<void> {
  const gathered = await mkdtemp(join(scratch, GATHERED));
  // The seal first: without it nothing here counts as fetched.
  for (const entry of entries.toSorted(sealFirst)) await rename(entry, join(gathered, basename(entry)));
  await syncFolder(gathered);
  await rename(gathered, join(scratch, ready));
  await syncFolder(scratch);
}

/**
 * Puts back what a process had gathered that was killed before it was ready, so that it is not fetched again: of the entries those that are named, the
 * seal last. Others were unpacked from them, and go.
 */
export async function putBack(scratch: string, fetched: readonly string[]): Promise<void> {
  for (const folder of (await readdir(scratch)).filter((name) => name.startsWith(GATHERED))) {
    const gathered = join(scratch, folder);
    const entries = (await readdir(gathered)).filter((entry) => fetched.includes(entry));
    for (const entry of entries.sort(sealFirst).reverse())
      await rename(join(gathered, entry), join(scratch, entry));
    await removeFolder(gathered);
  }
}

function sealFirst(a: string, b: string): number {
  return Number(b.endsWith(SEAL_SUFFIX)) - Number(a.endsWith(SEAL_SUFFIX));
}

/**
 * Gives what is ready its place, the seal last, so that a folder with the seal holds the package whole. Nothing is overwritten:
 * PATH_EXISTS, and what is left stays ready for the next try.
 */
export async function placeReady(scratch: string, ready: string, to: string): Promise<void> {
  const from = join(scratch, ready);
  const entries = (await readdir(from)).sort(sealFirst).reverse();
  await refuseTaken(entries.map((entry) => join(to, entry)));
  for (const entry of entries) await rename(join(from, entry), join(to, entry));
  await syncFolder(to);
}

/** Throws PATH_EXISTS when a path is taken. A scratch folder with nothing in it, which a killed process left, goes then. */
export async function refuseTaken(paths: readonly string[], scratch?: string): Promise<void> {
  for (const path of paths) {
    if (!(await exists(path))) continue;
    if (scratch !== undefined && (await exists(scratch)) && (await readdir(scratch)).length === 0)
      await rmdir(scratch);
    throw fail(
      "PATH_EXISTS",
      `${path} is already there; nothing is overwritten.`,
      "Choose another folder, or move it away first.",
      { subject: path },
    );
  }
}

/** Removes the scratch folder of a pull that is done; `ready` last, since while it is there the same command goes on. */
export async function dropScratch(scratch: string, ready: string): Promise<void> {
  for (const entry of await readdir(scratch)) if (entry !== ready) await removeFolder(join(scratch, entry));
  await rmdir(join(scratch, ready));
  await rmdir(scratch);
}
