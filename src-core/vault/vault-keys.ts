import type { z } from "zod";
import { engagementIdSchema, packageIdSchema, packageNameSchema } from "../../src-contract/names.ts";
import type { CancelSignal } from "../../src-contract/progress.ts";
import type { Seal } from "../../src-contract/seal.ts";
import { fail } from "../failing.ts";
import { packageName } from "../package/package-name.ts";
import type { ObjectInfo, Vault } from "../ports.ts";
import { isKeySegment } from "./folder-root.ts";

/** Where one package lies in a vault (docs/package-format.md, "Where it lies"). Prefixes end in `/`. */
export interface PackageKeys {
  readonly prefix: string;
  readonly archive: string;
  readonly manifest: string;
  readonly seal: string;
  readonly signaturesPrefix: string;
  readonly storedPrefix: string;
}

/** A value that becomes part of a key, or INVALID_INPUT. */
function checked(schema: z.ZodType<string>, value: string): string {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw fail(
    "INVALID_INPUT",
    `${JSON.stringify(value)} cannot be part of a vault's key: ${parsed.error.issues[0]?.message}.`,
    "Check where it comes from.",
    { subject: value },
  );
}

function packagesPrefix(engagement: string): string {
  return `engagements/${checked(engagementIdSchema, engagement)}/packages/`;
}

/** The seal's key, for whoever does not know the package's name yet: the seal tells it. */
export function sealKey(engagement: string, packageId: string): string {
  return `${packagesPrefix(engagement)}${checked(packageIdSchema, packageId)}/seal.json`;
}

/** Keys of a package; all three are checked, since they come from files of others too. */
export function packageKeys(engagement: string, packageId: string, name: string): PackageKeys {
  const prefix = `${packagesPrefix(engagement)}${checked(packageIdSchema, packageId)}/`;
  return {
    prefix,
    archive: `${prefix}${checked(packageNameSchema, name)}.tar`,
    manifest: `${prefix}manifest.json`,
    seal: sealKey(engagement, packageId),
    signaturesPrefix: `${prefix}${SIGNATURES}`,
    storedPrefix: `${prefix}stored/`,
  };
}

/** Keys of the package that a seal is of. */
export function keysOfSeal(seal: Seal): PackageKeys {
  return packageKeys(seal.engagement, seal.packageId, packageName(seal));
}

/** What a listing shows of one stored package, so that no request has to be made for each. */
export interface StoredPackage {
  readonly packageId: string;
  readonly seal: ObjectInfo;
  readonly manifest: ObjectInfo | null;
  /** Archives by file name; the seal says which one is the package's. */
  readonly archives: ReadonlyMap<string, ObjectInfo>;
  /** Envelopes by file name. Their content is not looked at. */
  readonly signatures: ReadonlyMap<string, ObjectInfo>;
  /** More archives or signatures are there than are told of. */
  readonly crowded: boolean;
}

/** So many archives and signatures are told of at most: a vault holds what others put there. */
const MOST_LISTED = 1000;

/** The packages of an engagement that are stored, in order of id: those where seal.json is there, since it is written last. */
export async function* listStoredPackages(
  vault: Vault,
  engagement: string,
  signal?: CancelSignal,
): AsyncGenerator<StoredPackage> {
  const prefix = packagesPrefix(engagement);
  let group: PackageObjects | null = null;
  for await (const object of vault.list(prefix, signal)) {
    const [packageId = "", ...path] = object.key.slice(prefix.length).split("/");
    if (group?.packageId !== packageId) {
      yield* storedIn(group);
      group = new PackageObjects(packageId);
    }
    group.add(path.join("/"), object);
  }
  yield* storedIn(group);
}

function* storedIn(group: PackageObjects | null): Generator<StoredPackage> {
  if (group?.seal != null && packageIdSchema.safeParse(group.packageId).success)
    yield { ...group, seal: group.seal };
}

/** The objects below one package's prefix, which a listing answers one after another. */
class PackageObjects {
  readonly packageId: string;
  seal: ObjectInfo | null = null;
  manifest: ObjectInfo | null = null;
  readonly archives = new Map<string, ObjectInfo>();
  readonly signatures = new Map<string, ObjectInfo>();
  crowded = false;

  constructor(packageId: string) {
    this.packageId = packageId;
  }

  add(path: string, object: ObjectInfo): void {
    const signature = signatureName(path);
    if (path === "seal.json") this.seal = object;
    else if (path === "manifest.json") this.manifest = object;
    else if (signature !== null) this.#addTo(this.signatures, signature, object);
    else if (path.endsWith(".tar") && !path.includes("/")) this.#addTo(this.archives, path, object);
  }

  #addTo(objects: Map<string, ObjectInfo>, name: string, object: ObjectInfo): void {
    if (objects.size < MOST_LISTED) objects.set(name, object);
    else this.crowded = true;
  }
}

const SIGNATURES = "signatures/";
const SIGNATURE_SUFFIX = ".dsse.json";

/** The file name of a signature by its path below a package's prefix; null for what has another kind of name. */
export function signatureName(path: string): string | null {
  const name = path.slice(SIGNATURES.length);
  const isSignature =
    path.startsWith(SIGNATURES) &&
    !name.includes("/") &&
    isKeySegment(name) &&
    name.endsWith(SIGNATURE_SUFFIX);
  return isSignature ? name : null;
}
