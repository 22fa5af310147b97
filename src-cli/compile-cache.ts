import { existsSync, lstatSync, mkdirSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";

/** One level only: with `recursive`, Node never comes back where the parent is a place like /proc. */
function makeFolder(path: string): void {
  if (!existsSync(path)) mkdirSync(path, { mode: 0o700 });
}

/** Makes sure of a folder that belongs to this user and that nobody else may write to; false where that cannot be had. */
function isOwnFolder(path: string, uid: number): boolean {
  makeFolder(path);
  const found = lstatSync(path);
  return found.isDirectory() && found.uid === uid && (found.mode & 0o022) === 0;
}

/**
 * Where compiled code may be kept: a folder that only this user can write to, since what lies there will run. Null where there
 * is none: another user's home, a home that cannot be written, a system without user ids.
 */
export function compileCacheFolder(env: NodeJS.ProcessEnv, home: string): string | null {
  const uid = process.getuid?.();
  if (uid === undefined) return null;
  try {
    if (lstatSync(home).uid !== uid) return null;
    const base = env.XDG_CACHE_HOME || join(home, ".cache");
    makeFolder(base);
    const own = join(base, "strongroom");
    const folder = join(own, "compiled");
    return isOwnFolder(own, uid) && isOwnFolder(folder, uid) ? folder : null;
  } catch {
    // A cache is never worth a failure: without one the program runs as well, only slower.
    return null;
  }
}

/** Keeps compiled code between runs, which makes the start quicker: of this thread, and by the environment of its threads too. */
export function keepCompiledCode(env: NodeJS.ProcessEnv): void {
  const folder = compileCacheFolder(env, homedir());
  if (folder === null) return;
  enableCompileCache(folder);
  env.NODE_COMPILE_CACHE ??= folder;
}
