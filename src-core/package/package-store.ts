import { readdirSync, readFileSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { packageIdSchema } from "../../src-contract/names.ts";
import type { Seal } from "../../src-contract/seal.ts";
import type { PackageSummary } from "../../src-contract/vault-api.ts";
import { openFileSource } from "../archive/file-source.ts";
import { VirtualTar } from "../archive/virtual-tar.ts";
import { type CatalogedPackage, findPackages, putPackage } from "../catalog/package-rows.ts";
import { vaultPackage } from "../catalog/vault-packages.ts";
import type { Core } from "../core.ts";
import { digestFile } from "../digest/digest-file.ts";
import { exists } from "../durable-files.ts";
import { asFailure, fail, systemCode } from "../failing.ts";
import type { RangeSource } from "../ports.ts";
import { readManifest } from "./manifest-reader.ts";
import { packageName } from "./package-name.ts";
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

/** Ids of all packages that have a folder in the state folder, sound or not; no drafts. */
export function packageIdsOnDisk(core: Core): readonly string[] {
  return readdirSync(core.home.packages).filter((name) => packageIdSchema.safeParse(name).success);
}

/** Drafts begin with a dot, so that nothing unfinished is ever taken for a package. */
export function draftFolder(core: Core, packageId: string): string {
  return join(core.home.packages, `.draft-${packageId}`);
}

export function packageFolder(core: Core, packageId: string): string {
  return join(core.home.packages, packageId);
}

/**
 * Reads what is needed of a local package. Throws PACKAGE_NOT_HELD when it is not in the state folder, PACKAGE_DAMAGED when its seal is
 * missing there, SEAL_INVALID when that is damaged.
 */
export async function loadPackage(core: Core, packageId: string): Promise<LocalPackage> {
  const folder = packageFolder(core, packageId);
  let bytes: Buffer;
  try {
    bytes = await readFile(join(folder, "seal.json"));
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw asFailure(error, folder);
    if (await exists(folder)) throw damaged(packageId, `seal.json is missing in ${folder}`, folder);
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

/** The failure for a package of this device that is not as it was published; what is left of it stays as it is. */
export function damaged(packageId: string, what: string, folder: string, cause?: unknown): Error {
  return fail(
    "PACKAGE_DAMAGED",
    `Package ${packageId} is damaged on this device: ${what}.`,
    "Keep the folder as it is; restore the package from a backup, or pull it from its vault.",
    { subject: folder, ...(cause === undefined ? {} : { cause }) },
  );
}

/** Throws PACKAGE_DAMAGED when manifest.json is not in the state folder. */
export async function requireManifest({ manifestFile, folder, seal }: LocalPackage): Promise<void> {
  if (await exists(manifestFile)) return;
  throw damaged(seal.packageId, `manifest.json is missing in ${folder}`, folder);
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
    name: packageName(seal),
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

/** Throws PACKAGE_DAMAGED or DIGEST_MISMATCH when manifest.json in the state folder is not the sealed one: nothing may be told from it then. */
export async function requireSealedManifest(local: LocalPackage): Promise<void> {
  await requireManifest(local);
  const { manifestFile, seal } = local;
  const actual = await digestFile(manifestFile).catch((error: unknown) => {
    throw asFailure(error, manifestFile);
  });
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
  await requireManifest(local);
  const { header } = await readManifest(local.manifestFile);
  putPackage(core.catalog, {
    seal: local.seal,
    manifest: header,
    packageDigest: local.packageDigest,
    holding: local.holding,
  });
}

/** Finds the one package that an id or its beginning names. Throws PACKAGE_NOT_FOUND, PACKAGE_DAMAGED or ID_AMBIGUOUS. */
export function resolvePackage(core: Core, ref: string): PackageSummary {
  const found = findPackages(core.catalog, ref.toLowerCase(), 3);
  const [first, second] = found;
  if (first === undefined) {
    // Every sound package is in the catalog: what only has a folder could not be read.
    const left = packageIdsOnDisk(core).find((id) => id.startsWith(ref.toLowerCase()));
    if (left !== undefined) {
      const folder = packageFolder(core, left);
      throw damaged(left, `${folder} cannot be read as a package ('package list' says why)`, folder);
    }
    throw fail(
      "PACKAGE_NOT_FOUND",
      `No package that this device knows has an id that begins with ${ref}.`,
      "List packages with: strongroom package list. Learn what is new in the vaults with: strongroom sync",
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
  return withRecords(core, first);
}

/** A package of the catalog with what the ledger knows of it. */
export function withRecords(core: Core, row: CatalogedPackage): PackageSummary {
  return { ...row, storedIn: storedIn(core, row), lastVerified: lastVerified(core, row) };
}

/** Name of the vault that holds a package: this device stored it there, or a sync saw its seal. Null where a sync found since that it is not there. */
export function storedIn(core: Core, row: Pick<CatalogedPackage, "id" | "packageDigest">): string | null {
  const seen = vaultPackage(core.catalog, row.id);
  const isThere = seen?.packageDigest === row.packageDigest && seen.gone === null;
  return isThere ? seen.vault : storedFromHere(core, row.id);
}

/** As `storedIn`, by this device's own storing alone: what a vault shows is the word of others. */
export function storedFromHere(core: Core, packageId: string): string | null {
  const row = core.ledger
    .prepare<[string], { vault: string }>(
      "SELECT vault FROM stored_packages WHERE package_id = ? ORDER BY time LIMIT 1",
    )
    .get(packageId);
  const seen = row === undefined ? null : vaultPackage(core.catalog, packageId);
  const isGone = seen !== null && seen.gone !== null && seen.vault === row?.vault;
  return isGone ? null : (row?.vault ?? null);
}

/** A verdict is `valid` only where bytes were read; what a store attests has a word of its own. */
function lastVerified(core: Core, { id, packageDigest: digest }: CatalogedPackage): string | null {
  const row = core.ledger
    .prepare<[string, string], { time: string }>(
      "SELECT time FROM fixity_checks WHERE package_id = ? AND package_digest = ? AND verdict = 'valid' ORDER BY id DESC LIMIT 1",
    )
    .get(id, digest);
  return row?.time ?? null;
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
