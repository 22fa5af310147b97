import { z } from "zod";
import { sha256HexSchema } from "../../src-contract/names.ts";
import type { EndCheckMethod, ObjectInfo, Vault } from "../ports.ts";
import type { PackageKeys } from "../vault/vault-keys.ts";
import { readSmallObject } from "./stored-seal.ts";

const LARGEST_RECORD = 64 * 1024;
/** A package is stored once, or again after it was lost; more records are somebody's mischief. */
const MOST_RECORDS = 100;

/** Who stored a package when, and how it was found to be right: `stored/<actor>-<time>.json`. */
const storedRecordSchema = z.object({
  format: z.literal("strongroom-stored/1"),
  packageId: z.string(),
  packageDigest: sha256HexSchema,
  /** The archive's size in bytes and the store's version of it, as they were after storing. */
  size: z.number().int(),
  version: z.string(),
  /** The store's id of the version, in a bucket that keeps versions. */
  versionId: z.string().optional(),
  method: z.string(),
  actor: z.string(),
  /** RFC 3339, UTC. */
  time: z.string(),
});
export type StoredRecord = z.infer<typeof storedRecordSchema>;

/**
 * Writes down that a package is stored. With `before` one that this actor wrote of the same object, checked in the same way, serves instead:
 * runs that stop after it would leave one each.
 */
export async function writeStoredRecord(
  vault: Vault,
  keys: PackageKeys,
  facts: {
    packageId: string;
    packageDigest: string;
    archive: ObjectInfo;
    method: EndCheckMethod;
    actor: string;
    now: number;
  },
  before: boolean,
): Promise<StoredRecord> {
  const { size, version, versionId } = facts.archive;
  const records = before ? await readStoredRecords(vault, keys, facts.packageDigest) : [];
  const same = records.find(
    (record) =>
      record.size === size &&
      record.version === version &&
      record.versionId === versionId &&
      record.method === facts.method &&
      record.actor === facts.actor,
  );
  if (same !== undefined) return same;
  const time = new Date(facts.now).toISOString();
  const record: StoredRecord = {
    format: "strongroom-stored/1",
    packageId: facts.packageId,
    packageDigest: facts.packageDigest,
    size,
    version,
    ...(versionId === undefined ? {} : { versionId }),
    method: facts.method,
    actor: facts.actor,
    time,
  };
  // No colons: they cannot be in a file name on Windows.
  const key = `${keys.storedPrefix}${facts.actor}-${time.replaceAll(/[-:]/g, "")}.json`;
  await vault.put(key, Buffer.from(`${JSON.stringify(record, null, 2)}\n`));
  return record;
}

/** A record of this package digest that is of that very object, or null. */
export async function findStoredRecord(
  vault: Vault,
  keys: PackageKeys,
  packageDigest: string,
  archive: ObjectInfo,
): Promise<StoredRecord | null> {
  for await (const record of recordsOf(vault, keys, packageDigest))
    if (isSameObject(archive, record)) return record;
  return null;
}

/** Whether an object is the one that was recorded. */
export function isSameObject(
  object: ObjectInfo,
  recorded: Pick<ObjectInfo, "size" | "version"> & { readonly versionId?: string | undefined },
): boolean {
  return (
    object.size === recorded.size &&
    object.version === recorded.version &&
    // Versioning may have been turned on since: then the object's id says nothing about its bytes.
    (recorded.versionId === undefined || object.versionId === recorded.versionId)
  );
}

/** All records of this package digest, oldest first. */
export async function readStoredRecords(
  vault: Vault,
  keys: PackageKeys,
  packageDigest: string,
): Promise<readonly StoredRecord[]> {
  const records: StoredRecord[] = [];
  for await (const record of recordsOf(vault, keys, packageDigest)) records.push(record);
  return records.sort((one, other) => (one.time < other.time ? -1 : 1));
}

/** In order of key. What is not a record of a known form is passed over: it proves nothing. */
async function* recordsOf(
  vault: Vault,
  keys: PackageKeys,
  packageDigest: string,
): AsyncGenerator<StoredRecord> {
  let looked = 0;
  for await (const { key } of vault.list(keys.storedPrefix)) {
    if (++looked > MOST_RECORDS) return;
    const found = await readSmallObject(vault, key, LARGEST_RECORD);
    const parsed = storedRecordSchema.safeParse(jsonOrNothing(found?.bytes ?? null));
    if (parsed.success && parsed.data.packageDigest === packageDigest) yield parsed.data;
  }
}

function jsonOrNothing(bytes: Uint8Array | null): unknown {
  if (bytes === null) return null;
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
