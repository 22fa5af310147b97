import { createHash } from "node:crypto";
import type { CancelSignal } from "../../src-contract/progress.ts";
import type { Seal } from "../../src-contract/seal.ts";
import { asFailure, fail } from "../failing.ts";
import { MAX_SEAL_BYTES, packageDigest, parseSeal } from "../package/seal-file.ts";
import type { ObjectInfo, Vault } from "../ports.ts";
import { keysOfSeal, type PackageKeys } from "../vault/vault-keys.ts";

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
  const found = await readSmallObject(vault, keys.seal, MAX_SEAL_BYTES, signal);
  if (found === null) return null;
  const invalid = (why: string) =>
    fail(
      "SEAL_INVALID",
      `${keys.seal} in the vault ${why}.`,
      "Update the program, or ask whoever stored it.",
      { subject: keys.seal },
    );
  if (found.bytes === null) throw invalid(`has ${found.info.size} bytes, which no seal has`);
  const seal = readSeal(found.bytes, (why) => invalid(`is not a seal of a known format (${why})`));
  const sealKeys = keysOfSeal(seal);
  if (sealKeys.seal !== keys.seal)
    throw invalid(`is the seal of package ${seal.packageId} of engagement ${seal.engagement}`);
  return {
    seal,
    sealBytes: found.bytes,
    packageDigest: packageDigest(found.bytes),
    info: found.info,
    keys: sealKeys,
  };
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
  return { info, bytes: await readConfirmed(vault, info, signal) };
}

/** An ETag that is the MD5 of an object put in one request (RFC 1321); encrypted objects have ETags that only look like it. */
const MD5_ETAG = /^[0-9a-f]{32}$/;
const MOST_READS = 4;

/** Where the vault names an MD5 that the bytes do not have, they are believed once they came the same twice: a connection damages them at random. */
async function readConfirmed(
  vault: Vault,
  info: ObjectInfo,
  signal: CancelSignal | undefined,
): Promise<Uint8Array> {
  let last: Uint8Array | null = null;
  for (let reads = 1; ; reads++) {
    const bytes = new Uint8Array(info.size);
    await vault.getRange(info, 0, bytes, signal);
    if (!MD5_ETAG.test(info.version) || createHash("md5").update(bytes).digest("hex") === info.version)
      return bytes;
    if ((last !== null && Buffer.compare(last, bytes) === 0) || reads === MOST_READS) return bytes;
    last = bytes;
  }
}

function readSeal(bytes: Uint8Array, invalid: (why: string) => Error): Seal {
  try {
    return parseSeal(bytes);
  } catch (error) {
    throw invalid(asFailure(error).failure.message);
  }
}
