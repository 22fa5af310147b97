import { mkdtemp, readdir, readFile, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemCode, writeFailure } from "./failing.ts";
import { removeFolder } from "./package/package-store.ts";
import {
  BEAT_MS,
  isAlive,
  isFresh,
  type LeaseHolder,
  leaseHolderSchema,
  thisProcess,
} from "./transfer/lease-holder.ts";

/** What a draft becomes; part of its folder's name. */
export type DraftKind = "artifact" | "backup" | "examine" | "handover" | "pull-file" | "restore" | "sync";

const HOLDER = "holder.json";

/**
 * Runs work with a hidden folder of its own in `parent`, in which a result is made before it gets its place by a rename: on the same
 * file system, so that this is a single step. The folder is removed whatever happens; what processes left there that were killed is
 * removed first, that of living ones is let be. Throws WRITE_REFUSED, DISK_FULL or PATH_NOT_FOUND for a parent in which none can be made.
 */
export async function inDraftFolder<T>(
  parent: string,
  kind: DraftKind,
  work: (draft: string) => Promise<T>,
): Promise<T> {
  const prefix = `.strongroom-${kind}-`;
  const draft = await begin(parent, prefix);
  const heart = setInterval(() => beat(draft), BEAT_MS);
  heart.unref();
  try {
    return await work(draft);
  } finally {
    clearInterval(heart);
    await removeFolder(draft);
  }
}

async function begin(parent: string, prefix: string): Promise<string> {
  try {
    await removeAbandoned(parent, prefix);
    const draft = await mkdtemp(join(parent, prefix));
    await writeFile(join(draft, HOLDER), JSON.stringify(thisProcess()));
    return draft;
  } catch (error) {
    throw writeFailure(error, parent);
  }
}

/** A beat that is missed does no harm; the next one comes soon. */
function beat(draft: string): void {
  const now = new Date();
  utimes(join(draft, HOLDER), now, now).catch(() => undefined);
}

async function removeAbandoned(parent: string, prefix: string): Promise<void> {
  for (const entry of await readdir(parent, { withFileTypes: true })) {
    if (!entry.isDirectory() || !entry.name.startsWith(prefix)) continue;
    const folder = join(parent, entry.name);
    if (await isAbandoned(folder)) await removeFolder(folder);
  }
}

async function isAbandoned(folder: string): Promise<boolean> {
  const holder = await holderOf(folder);
  if (holder !== null) return !isAlive(holder.process, thisProcess(), Date.now() - holder.beat);
  // Killed before it had said who it is, or just about to say it: only time tells.
  const made = await unlessAbsent(stat(folder));
  return made !== null && !isFresh(Date.now() - made.mtimeMs);
}

/** Who works in a draft, and when it last said so; null while it has not said it whole. */
async function holderOf(folder: string): Promise<{ process: LeaseHolder; beat: number } | null> {
  const file = join(folder, HOLDER);
  const [text, found] = [await unlessAbsent(readFile(file, "utf8")), await unlessAbsent(stat(file))];
  if (text === null || found === null) return null;
  const parsed = leaseHolderSchema.safeParse(jsonIn(text));
  return parsed.success ? { process: parsed.data, beat: found.mtimeMs } : null;
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Another process may take away the same draft at the same time. */
async function unlessAbsent<T>(found: Promise<T>): Promise<T | null> {
  return found.catch((error: unknown) => {
    if (systemCode(error) === "ENOENT") return null;
    throw error;
  });
}
