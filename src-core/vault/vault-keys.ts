import type { z } from "zod";
import { engagementIdSchema, packageIdSchema, packageNameSchema } from "../../src-contract/names.ts";
import type { Seal } from "../../src-contract/seal.ts";
import { fail } from "../failing.ts";
import { packageName } from "../package/package-name.ts";
import type { ObjectInfo, Vault } from "../ports.ts";

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
    signaturesPrefix: `${prefix}signatures/`,
    storedPrefix: `${prefix}stored/`,
  };
}

/** Keys of the package that a seal is of. */
export function keysOfSeal(seal: Seal): PackageKeys {
  return packageKeys(seal.engagement, seal.packageId, packageName(seal));
}

/** Ids of an engagement's stored packages with their seals, in order of id: those where seal.json is there, since it is written last. */
export async function* listStoredPackages(
  vault: Vault,
  engagement: string,
): AsyncGenerator<{ readonly packageId: string; readonly seal: ObjectInfo }> {
  const prefix = packagesPrefix(engagement);
  for await (const object of vault.list(prefix)) {
    const [packageId, file, ...rest] = object.key.slice(prefix.length).split("/");
    if (file === "seal.json" && rest.length === 0 && packageIdSchema.safeParse(packageId).success) {
      yield { packageId: packageId as string, seal: object };
    }
  }
}
