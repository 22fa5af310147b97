import { access, chmod, constants, readdir, realpath, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { exists, makeFolders } from "./durable-files.ts";
import { asFailure, FailureError, fail, systemCode } from "./failing.ts";
import { isWithin } from "./is-within.ts";

/** The program's state on this device. */
export interface Home {
  readonly folder: string;
  readonly ledger: string;
  readonly catalog: string;
  readonly packages: string;
}

/** `$STRONGROOM_HOME`, or the platform's folder for an application's data. */
export function homeFolder(env: NodeJS.ProcessEnv): string {
  const chosen = env.STRONGROOM_HOME;
  if (chosen !== undefined && chosen !== "") return resolve(chosen);
  switch (process.platform) {
    case "darwin":
      return join(homedir(), "Library", "Application Support", "Strongroom");
    case "win32":
      return join(env.APPDATA ?? join(homedir(), "AppData", "Roaming"), "Strongroom");
    default:
      return join(env.XDG_DATA_HOME ?? join(homedir(), ".local", "share"), "strongroom");
  }
}

const PACKAGES = "packages";
const LEDGER = "ledger.db";
/** A state folder holds the first from its beginning; the second also where somebody removed the first. */
const SIGNS_OF_STATE = new Set([PACKAGES, LEDGER]);

/**
 * Makes the state folder, readable by its owner only. Throws HOME_UNUSABLE when that cannot be done, and where the folder holds other
 * things than state: it would be closed to all others (STRONGROOM_HOME=/tmp).
 */
export async function openHome(chosen: string): Promise<Home> {
  const folder = resolve(chosen);
  const packages = join(folder, PACKAGES);
  try {
    const names = await namesIn(folder);
    if (names.length > 0 && !names.some((name) => SIGNS_OF_STATE.has(name))) throw holdsOtherThings(folder);
    await makeFolders(packages);
    const { mode } = await stat(folder);
    if ((mode & 0o077) !== 0) await chmod(folder, mode & 0o700);
    for (const written of [folder, packages]) await access(written, constants.W_OK | constants.X_OK);
  } catch (error) {
    if (error instanceof FailureError) throw error;
    throw fail(
      "HOME_UNUSABLE",
      `Strongroom cannot keep its state in ${folder}: ${asFailure(error, folder).failure.message}`,
      "Make the folder writable, or set STRONGROOM_HOME to another one.",
      { subject: folder, cause: error },
    );
  }
  return { folder, packages, ledger: join(folder, LEDGER), catalog: join(folder, "catalog.db") };
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return [];
    throw error;
  }
}

function holdsOtherThings(folder: string): FailureError {
  return fail(
    "HOME_UNUSABLE",
    `${folder} holds other things than Strongroom's state; nothing was changed in it.`,
    "Set STRONGROOM_HOME to a folder that is new or empty.",
    { subject: folder },
  );
}

/**
 * Refuses a folder for results that is the state folder or lies in it: what is there is the program's own, and a name could be taken for
 * a package. The folder need not exist yet. Throws INVALID_INPUT.
 */
export async function refuseInsideHome(home: Home, folder: string): Promise<void> {
  if (!isWithin(await realPathOf(resolve(folder)), await realpath(home.folder))) return;
  throw fail(
    "INVALID_INPUT",
    `${folder} lies in Strongroom's own state folder ${home.folder}.`,
    "Choose a folder outside it.",
    { subject: folder },
  );
}

/** Without links, as far as the path exists. */
async function realPathOf(path: string): Promise<string> {
  if (await exists(path)) return realpath(path).catch(() => path);
  const parent = dirname(path);
  return parent === path ? path : join(await realPathOf(parent), path.slice(parent.length));
}
