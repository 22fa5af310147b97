import { createHash } from "node:crypto";
import type { CancelSignal } from "../../src-contract/progress.ts";
import type { Seal } from "../../src-contract/seal.ts";
import { asFailure, fail } from "../failing.ts";
import { MAX_SEAL_BYTES, packageDigest, parseSeal } from "../package/seal-file.ts";
import type { ObjectInfo, Vault } from "../ports.ts";
import { keysOfSeal, type PackageKeys } from "../vault/vault-keys.ts";
import { confirmedDigest } from "./confirmed-digest.ts";

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
  return found === null ? null : checkSeal(found);
}

/** As `readStoredSeal`, for a seal that a listing told of. */
export async function readListedSeal(
  vault: Vault,
  info: ObjectInfo,
  signal?: CancelSignal,
): Promise<StoredSeal> {
  return checkSeal({ info, bytes: await readListed(vault, info, MAX_SEAL_BYTES, signal) });
}

function checkSeal({ info, bytes }: SmallObject): StoredSeal {
  const invalid = (why: string) =>
    fail(
      "SEAL_INVALID",
      `${info.key} in the vault ${why}.`,
      "Update the program, or ask whoever stored it.",
      { subject: info.key },
    );
  if (bytes === null) throw invalid(`has ${info.size} bytes, which no seal has`);
  const seal = readSeal(bytes, (why) => invalid(`is not a seal of a known format (${why})`));
  const keys = keysOfSeal(seal);
  if (keys.seal !== info.key)
    throw invalid(`is the seal of package ${seal.packageId} of engagement ${seal.engagement}`);
  return { seal, sealBytes: bytes, packageDigest: packageDigest(bytes), info, keys };
}

interface SmallObject {
  readonly info: ObjectInfo;
  readonly bytes: Uint8Array | null;
}

/** A whole object of at most `largest` bytes; `bytes` is null when it is larger, the answer is null when there is none. */
export async function readSmallObject(
  vault: Vault,
  key: string,
  largest: number,
  signal?: CancelSignal,
): Promise<SmallObject | null> {
  const info = await vault.head(key);
  return info === null ? null : { info, bytes: await readListed(vault, info, largest, signal) };
}

/** The bytes of an object that a listing or `head` told of; null when they are more than `largest`. */
export async function readListed(
  vault: Vault,
  info: ObjectInfo,
  largest: number,
  signal?: CancelSignal,
): Promise<Uint8Array | null> {
  return info.size > largest ? null : await readConfirmed(vault, info, signal);
}

/** An ETag that is the MD5 of an object put in one request (RFC 1321); encrypted objects have ETags that only look like it. */
const MD5_ETAG = /^[0-9a-f]{32}$/;

/** Where the vault names an MD5 that the bytes do not have, they are believed once they came the same twice: a connection damages them at random. */
async function readConfirmed(
  vault: Vault,
  info: ObjectInfo,
  signal: CancelSignal | undefined,
): Promise<Uint8Array> {
  let bytes = new Uint8Array(info.size);
  const read = async () => {
    bytes = new Uint8Array(info.size);
    await vault.getRange(info, 0, bytes, signal);
    return createHash("md5").update(bytes).digest("hex");
  };
  if (MD5_ETAG.test(info.version)) await confirmedDigest(read, info.version, info.key);
  else await vault.getRange(info, 0, bytes, signal);
  return bytes;
}

function readSeal(bytes: Uint8Array, invalid: (why: string) => Error): Seal {
  try {
    return parseSeal(bytes);
  } catch (error) {
    throw invalid(asFailure(error).failure.message);
  }
}
