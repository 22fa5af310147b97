import { createHash } from "node:crypto";
import type { CancelSignal } from "../../src-contract/progress.ts";
import { type Seal, sealSchema } from "../../src-contract/seal.ts";
import { fail } from "../failing.ts";
import type { ObjectInfo, Vault } from "../ports.ts";
import { type PackageKeys, packageKeys } from "../vault/vault-keys.ts";

/** A seal of 10,000 parts has 0.7 MB; what is larger is no seal and is not read. */
const LARGEST_SEAL = 4 * 1024 * 1024;

export interface StoredSeal {
  readonly seal: Seal;
  readonly sealBytes: Uint8Array;
  /** SHA-256 hex of `sealBytes`. */
  readonly packageDigest: string;
  readonly info: ObjectInfo;
  readonly keys: PackageKeys;
}

/**
 * Reads and checks the seal of a stored package. Null when there is none: then the package is not stored, whatever else is there.
 * Throws SEAL_INVALID when it is not a seal of a known format, or is the seal of another package than its key says.
 */
export async function readStoredSeal(
  vault: Vault,
  keys: Pick<PackageKeys, "seal">,
  signal?: CancelSignal,
): Promise<StoredSeal | null> {
  const found = await readSmallObject(vault, keys.seal, LARGEST_SEAL, signal);
  if (found === null) return null;
  const invalid = (why: string) =>
    fail(
      "SEAL_INVALID",
      `${keys.seal} in the vault ${why}.`,
      "Update the program, or ask whoever stored it.",
      { subject: keys.seal },
    );
  if (found.bytes === null) throw invalid(`has ${found.info.size} bytes, which no seal has`);
  const parsed = sealSchema.safeParse(parseJson(found.bytes));
  if (!parsed.success)
    throw invalid(`is not a seal of a known format (${parsed.error.issues[0]?.message ?? "not JSON"})`);
  const seal = parsed.data;
  const sealKeys = packageKeys(seal.engagement, seal.packageId, seal.archive.slice(0, -".tar".length));
  if (sealKeys.seal !== keys.seal)
    throw invalid(`is the seal of package ${seal.packageId} of engagement ${seal.engagement}`);
  return {
    seal,
    sealBytes: found.bytes,
    packageDigest: packageDigestOf(found.bytes),
    info: found.info,
    keys: sealKeys,
  };
}

/** SHA-256 hex of seal.json's bytes: what people quote, sign and approve. */
export function packageDigestOf(sealBytes: Uint8Array): string {
  return createHash("sha256").update(sealBytes).digest("hex");
}

/** A whole object of at most `largest` bytes; `bytes` is null when it is larger, the answer is null when there is none. */
export async function readSmallObject(
  vault: Vault,
  key: string,
  largest: number,
  signal?: CancelSignal,
): Promise<{ readonly info: ObjectInfo; readonly bytes: Uint8Array | null } | null> {
  const info = await vault.head(key);
  if (info === null) return null;
  if (info.size > largest) return { info, bytes: null };
  const bytes = new Uint8Array(info.size);
  await vault.getRange(info, 0, bytes, signal);
  return { info, bytes };
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}
