import { createHash } from "node:crypto";
import { createReadStream, readFileSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { FailureCode } from "../../src-contract/failure.ts";
import { packageIdSchema } from "../../src-contract/names.ts";
import type { Seal } from "../../src-contract/seal.ts";
import type { PackageSummary } from "../../src-contract/vault-api.ts";
import { openFileSource } from "../archive/file-source.ts";
import { VirtualTar } from "../archive/virtual-tar.ts";
import { findPackages, listPackages, putPackage, removePackage } from "../catalog/package-rows.ts";
import type { Core } from "../core.ts";
import { exists } from "../durable-files.ts";
import { asFailure, fail, systemCode } from "../failing.ts";
import type { RangeSource } from "../ports.ts";
import { readManifest } from "./manifest-reader.ts";
import { packageDigest, parseSeal } from "./seal-file.ts";

/** A sealed package in the state folder: `packages/<id>/` with seal.json, manifest.json, signatures/, and its archive or its plan. */
export interface LocalPackage {
  readonly folder: string;
  readonly seal: Seal;
  readonly sealBytes: Buffer;
  readonly packageDigest: string;
  readonly name: string;
  readonly archiveFile: string;
  readonly manifestFile: string;
  readonly holding: "held" | "reference";
}

/** Drafts begin with a dot, so that nothing unfinished is ever taken for a package. */
export function draftFolder(core: Core, packageId: string): string {
  return join(core.home.packages, `.draft-${packageId}`);
}

export function packageFolder(core: Core, packageId: string): string {
  return join(core.home.packages, packageId);
}

/** Reads what is needed of a local package. Throws PACKAGE_NOT_HELD when it is not in the state folder, SEAL_INVALID when it is damaged. */
export async function loadPackage(core: Core, packageId: string): Promise<LocalPackage> {
  const folder = packageFolder(core, packageId);
  let bytes: Buffer;
  try {
    bytes = await readFile(join(folder, "seal.json"));
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw asFailure(error, folder);
    throw fail(
      "PACKAGE_NOT_HELD",
      `Package ${packageId} is not on this device.`,
      `Pull it from its vault: strongroom package pull ${packageId} --to DIR.`,
      { subject: packageId },
    );
  }
  const local = await describePackage(folder, bytes);
  if (local.seal.packageId === packageId) return local;
  throw fail(
    "SEAL_INVALID",
    `${join(folder, "seal.json")} is the seal of another package, ${local.seal.packageId}.`,
    "Restore the package from a backup, or pull it from its vault.",
    { subject: packageId },
  );
}

/** A folder laid out as packages/<id> is, whose seal.json has these bytes. */
export async function describePackage(folder: string, bytes: Buffer): Promise<LocalPackage> {
  const seal = parseSeal(bytes);
  const archiveFile = join(folder, seal.archive);
  return {
    folder,
    seal,
    sealBytes: bytes,
    packageDigest: packageDigest(bytes),
    name: seal.archive.slice(0, -".tar".length),
    archiveFile,
    manifestFile: join(folder, "manifest.json"),
    holding: (await exists(archiveFile)) ? "held" : "reference",
  };
}

/** The package's archive: the stored file, or produced from the plan and the sources. */
export async function openArchive(local: LocalPackage): Promise<RangeSource> {
  await requireBytes(local);
  return local.holding === "held"
    ? openFileSource(local.archiveFile)
    : new VirtualTar(local.folder, local.name, local.seal.archiveSize);
}

/** Throws PACKAGE_NOT_HELD for a package whose archive was taken out of the state folder: there is no plan to produce it from either. */
export async function requireBytes(local: LocalPackage): Promise<void> {
  if (local.holding === "held" || (await exists(join(local.folder, "plan.records")))) return;
  throw fail(
    "PACKAGE_NOT_HELD",
    `The archive of package ${local.seal.packageId} is gone: ${local.archiveFile} is not there.`,
    "Restore it from a backup, or pull the package from its vault.",
    { subject: local.archiveFile },
  );
}

/** Throws DIGEST_MISMATCH when manifest.json in the state folder is not the sealed one: nothing may be told from it then. */
export async function requireSealedManifest({ manifestFile, seal }: LocalPackage): Promise<void> {
  const digest = createHash("sha256");
  await pipeline(createReadStream(manifestFile, { highWaterMark: 1024 * 1024 }), digest).catch(
    (error: unknown) => {
      throw asFailure(error, manifestFile);
    },
  );
  const actual = digest.digest("hex");
  if (actual === seal.manifestSha256) return;
  throw fail(
    "DIGEST_MISMATCH",
    `${manifestFile} is not what was sealed: SHA-256 ${actual} instead of ${seal.manifestSha256}.`,
    "Restore it from a backup, or pull the package from its vault.",
    { subject: manifestFile, details: { expected: seal.manifestSha256, actual } },
  );
}

/** Signature files beside a package, by name; none when it is unsigned. Links, pipes and the like are no signatures. */
export async function signatureFiles(
  folder: string,
): Promise<readonly { readonly name: string; readonly path: string }[]> {
  try {
    const names = (await readdir(folder, { withFileTypes: true }))
      .filter((entry) => entry.isFile() && entry.name.endsWith(".dsse.json") && !entry.name.startsWith("."))
      .map((entry) => entry.name);
    return names.sort().map((name) => ({ name, path: join(folder, name) }));
  } catch (error) {
    if (systemCode(error) === "ENOENT" || systemCode(error) === "ENOTDIR") return [];
    throw asFailure(error, folder);
  }
}

/** Puts a sealed package's summary into the catalog. */
export async function catalogPackage(core: Core, local: LocalPackage): Promise<void> {
  const { header } = await readManifest(local.manifestFile);
  putPackage(core.catalog, {
    seal: local.seal,
    manifest: header,
    packageDigest: local.packageDigest,
    holding: local.holding,
  });
}

const DAMAGED = new Set<FailureCode>([
  "SEAL_INVALID",
  "MANIFEST_INVALID",
  "PACKAGE_NOT_HELD",
  "PATH_NOT_FOUND",
  "PATH_NOT_EVIDENCE",
  "PATH_UNREADABLE",
  "INVALID_INPUT",
  "IO_ERROR",
]);

/**
 * Makes the catalog say what packages/ holds: the folders are the truth, the catalog may have been deleted or a process killed
 * between publishing a package and cataloguing it. A folder whose seal or manifest is damaged is left alone and left out: one bad
 * package must not keep the others from their owner.
 */
export async function reconcileCatalog(core: Core): Promise<void> {
  // Rows first, folders second: a package that another process publishes in between is then seen as a folder, never as a stale row.
  const rows = listPackages(core.catalog);
  const names = await readdir(core.home.packages);
  const onDisk = new Set(names.filter((name) => packageIdSchema.safeParse(name).success));
  for (const row of rows) {
    if (onDisk.delete(row.id) || row.holding === "remote") continue;
    removePackage(core.catalog, row.id);
  }
  for (const id of onDisk) {
    try {
      await catalogPackage(core, await loadPackage(core, id));
    } catch (error) {
      const { code } = asFailure(error).failure;
      if (!DAMAGED.has(code)) throw error;
    }
  }
}

/** Finds the one package that an id or its beginning names. Throws PACKAGE_NOT_FOUND or ID_AMBIGUOUS. */
export function resolvePackage(core: Core, ref: string): PackageSummary {
  const found = findPackages(core.catalog, ref.toLowerCase(), 3);
  const [first, second] = found;
  if (first === undefined) {
    throw fail(
      "PACKAGE_NOT_FOUND",
      `No package on this device has an id that begins with ${ref}.`,
      "List packages with: strongroom package list.",
      { subject: ref },
    );
  }
  if (second !== undefined) {
    throw fail(
      "ID_AMBIGUOUS",
      `${ref} is the beginning of more than one package id: ${found.map((row) => row.id).join(", ")}.`,
      "Give more characters of the id.",
      { subject: ref, details: { candidates: found.map((row) => row.id) } },
    );
  }
  return { ...first, storedIn: storedIn(core, first.id) };
}

export function storedIn(core: Core, packageId: string): string | null {
  const row = core.ledger
    .prepare<[string], { vault: string }>(
      "SELECT vault FROM stored_packages WHERE package_id = ? ORDER BY time LIMIT 1",
    )
    .get(packageId);
  return row?.vault ?? null;
}

/** Removes a folder of ours with all that is in it. */
export async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
}

/** The version in package.json, for manifests and certificates. */
export function programVersion(): string {
  const file = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return String(Reflect.get(JSON.parse(file) as object, "version"));
}
