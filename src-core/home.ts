import { chmod } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { makeFolders } from "./durable-files.ts";
import { asFailure, fail } from "./failing.ts";

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

/** Makes the state folder, readable by its owner only. Throws HOME_UNUSABLE when that cannot be done. */
export async function openHome(chosen: string): Promise<Home> {
  const folder = resolve(chosen);
  const packages = join(folder, "packages");
  try {
    await makeFolders(packages);
    await chmod(folder, 0o700);
  } catch (error) {
    throw fail(
      "HOME_UNUSABLE",
      `Strongroom cannot keep its state in ${folder}: ${asFailure(error, folder).failure.message}`,
      "Make the folder writable, or set STRONGROOM_HOME to another one.",
      { subject: folder, cause: error },
    );
  }
  return { folder, packages, ledger: join(folder, "ledger.db"), catalog: join(folder, "catalog.db") };
}
