import { type BigIntStats, lstatSync, realpathSync } from "node:fs";
import { basename, resolve } from "node:path";
import { asFailure, fail } from "../failing.ts";
import { isWithin } from "../is-within.ts";

export interface AcceptedSource {
  /** Under data/. */
  readonly name: string;
  readonly path: string;
  readonly stats: BigIntStats;
}

/** A file or folder that the user named. Throws for what cannot be evidence at all, and for what overlaps the state folder. */
export function acceptSource(source: string, stateFolder: string): AcceptedSource {
  const path = resolve(source);
  let stats: BigIntStats;
  try {
    stats = lstatSync(path, { bigint: true });
  } catch (error) {
    throw asFailure(error, path);
  }
  if (stats.isSymbolicLink()) {
    throw fail(
      "PATH_NOT_EVIDENCE",
      `${path} is a symbolic link, and links are never followed.`,
      "Name the file or folder it points to.",
      { subject: path },
    );
  }
  if (!stats.isFile() && !stats.isDirectory()) {
    throw fail(
      "PATH_NOT_EVIDENCE",
      `${path} is a ${specialKind(stats)}, not a file or folder.`,
      "Name regular files and folders only.",
      { subject: path },
    );
  }
  const name = basename(path);
  if (name === "") {
    throw fail("INVALID_INPUT", `${path} is the root of a file system.`, "Name the folders below it.", {
      subject: path,
    });
  }
  const [home, real] = [realpathSync(stateFolder), realpathSync(path)];
  if (isWithin(home, real) || isWithin(real, home)) {
    throw fail(
      "INVALID_INPUT",
      `${path} overlaps Strongroom's own state folder ${stateFolder}.`,
      "Copy the evidence elsewhere, or set STRONGROOM_HOME to a folder outside it.",
      { subject: path },
    );
  }
  return { name, path, stats };
}

/** What a person calls a thing that is neither file, folder nor link. */
export function specialKind(stats: BigIntStats): string {
  if (stats.isSocket()) return "socket";
  if (stats.isFIFO()) return "named pipe";
  if (stats.isBlockDevice() || stats.isCharacterDevice()) return "device";
  return "special file";
}
