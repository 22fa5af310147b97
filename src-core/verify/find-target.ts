import { lstat, readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Seal } from "../../src-contract/seal.ts";
import { exists } from "../durable-files.ts";
import { asFailure, fail, systemCode } from "../failing.ts";
import { packageName } from "../package/package-name.ts";
import { MAX_SEAL_BYTES, packageDigest, parseSeal } from "../package/seal-file.ts";

export interface FoundSeal {
  readonly seal: Seal;
  readonly bytes: Buffer;
  readonly digest: string;
  readonly file: string;
  /** Where signatures of this seal lie, if there are any. */
  readonly signatures: string;
}

export interface FoundTarget {
  /** What is verified: an archive or a bag folder. */
  readonly path: string;
  readonly folder: boolean;
  readonly seal: FoundSeal | null;
}

/**
 * Finds what a path means to a person: an archive or bag folder, or a folder that holds a package with its seal (a handover, a
 * package in a vault), and the seal that lies beside it. Throws PATH_NOT_FOUND, PATH_NOT_EVIDENCE, SEAL_INVALID.
 */
export async function findTarget(path: string, sealFile: string | undefined): Promise<FoundTarget> {
  const stats = await lstat(path).catch((error: unknown) => {
    throw asFailure(error, path);
  });
  if (!stats.isFile() && !stats.isDirectory()) {
    throw fail(
      "PATH_NOT_EVIDENCE",
      `${path} is neither a regular file nor a folder.`,
      "Name a bag folder or an archive; links are not followed.",
      { subject: path },
    );
  }
  if (stats.isDirectory() && sealFile === undefined && !(await exists(join(path, "bagit.txt")))) {
    const inside = await packageInside(path);
    if (inside !== null) return inside;
  }
  const seal =
    sealFile === undefined ? await sealBeside(path, stats.isDirectory()) : await readSeal(sealFile);
  return { path, folder: stats.isDirectory(), seal };
}

async function packageInside(folder: string): Promise<FoundTarget | null> {
  const seals = (await readdir(folder)).filter((name) => name === "seal.json" || name.endsWith(".seal.json"));
  const [only, another] = seals;
  if (only === undefined) return null;
  if (another !== undefined) {
    throw fail(
      "INVALID_INPUT",
      `${folder} holds several packages: ${seals.join(", ")}.`,
      "Name one archive or bag folder.",
      { subject: folder },
    );
  }
  const seal = await readSeal(join(folder, only));
  const archive = join(folder, seal.seal.archive);
  if (await exists(archive)) return { path: archive, folder: false, seal };
  const bag = join(folder, packageName(seal.seal));
  if (await exists(bag)) return { path: bag, folder: true, seal };
  throw fail(
    "PACKAGE_NOT_HELD",
    `${folder} holds the seal of ${seal.seal.archive}, but not the archive.`,
    "Pull the package from its vault first.",
    { subject: folder },
  );
}

async function sealBeside(path: string, folder: boolean): Promise<FoundSeal | null> {
  const stem = folder ? path : path.replace(/\.tar$/, "");
  const own = join(dirname(path), `${basename(stem)}.seal.json`);
  if (await exists(own)) return readSeal(own);
  const shared = join(dirname(path), "seal.json");
  if (!folder && (await exists(shared))) {
    const found = await readSeal(shared);
    if (found.seal.archive === basename(path)) return found;
  }
  return null;
}

/** Reads and checks a seal file. */
async function readSeal(file: string): Promise<FoundSeal> {
  let bytes: Buffer;
  try {
    const stats = await stat(file);
    // A pipe would be waited for, for ever.
    if (!stats.isFile()) {
      throw fail("SEAL_INVALID", `${file} is not a regular file.`, "Check what this is.", { subject: file });
    }
    const { size } = stats;
    if (size > MAX_SEAL_BYTES) {
      throw fail(
        "SEAL_INVALID",
        `${file} has ${size} bytes, too many for a seal.`,
        "Check what this file is.",
        { subject: file },
      );
    }
    bytes = await readFile(file);
  } catch (error) {
    throw systemCode(error) === "ENOENT"
      ? fail("SEAL_NOT_FOUND", `There is no seal at ${file}.`, "Name the file that ends in .seal.json.", {
          subject: file,
        })
      : asFailure(error, file);
  }
  const named =
    basename(file) === "seal.json"
      ? "signatures"
      : basename(file).replace(/\.seal\.json$|\.json$/, ".signatures");
  return {
    seal: parseSealOf(file, bytes),
    bytes,
    digest: packageDigest(bytes),
    file,
    signatures: join(dirname(file), named),
  };
}

/** As parseSeal, whose refusal then names the file. */
function parseSealOf(file: string, bytes: Buffer): Seal {
  try {
    return parseSeal(bytes);
  } catch (error) {
    const { code, message, nextStep } = asFailure(error, file).failure;
    throw fail(code, `${file}: ${message}`, nextStep, { subject: file, cause: error });
  }
}
