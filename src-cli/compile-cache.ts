import { lstatSync, mkdirSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";

/** A folder that belongs to this user and that nobody else may write to; false where that cannot be had. */
function ownFolder(path: string, uid: number): boolean {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const found = lstatSync(path);
  return found.isDirectory() && found.uid === uid && (found.mode & 0o022) === 0;
}

/**
 * Keeps compiled code between runs, which makes the start quicker. The cache holds code that will run, so it lies only in a
 * folder that nobody but this user can write to; where there is none (another user's home, a read-only home, Windows) the
 * program does without.
 */
export function keepCompiledCode(env: NodeJS.ProcessEnv): void {
  const uid = process.getuid?.();
  if (uid === undefined) return;
  try {
    const home = homedir();
    const base = env.XDG_CACHE_HOME || join(home, ".cache");
    if (lstatSync(home).uid !== uid) return;
    const folder = join(base, "strongroom", "compiled");
    if (ownFolder(join(base, "strongroom"), uid) && ownFolder(folder, uid)) enableCompileCache(folder);
  } catch {
    // A cache is never worth a failure: without one the program runs as well, only slower.
    return;
  }
}
