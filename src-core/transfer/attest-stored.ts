import type { Finding, RemoteProof } from "../../src-contract/findings.ts";
import type { SeenArchive } from "../catalog/seen-archives.ts";
import { fail } from "../failing.ts";
import type { Attestation, ObjectInfo, Vault } from "../ports.ts";
import { keysOfSeal, type PackageKeys } from "../vault/vault-keys.ts";
import { pacing } from "./pacing.ts";
import { withRetry } from "./steady-vault.ts";
import { isSameObject, readStoredRecords } from "./stored-record.ts";
import {
  openQuestions,
  type StoredQuestion,
  type StoredVerdict,
  sizeFinding,
  storedFinding,
  utcText,
} from "./stored-verdict.ts";

export interface AttestQuestion extends StoredQuestion {
  /** What this device knows of the archive there, from when it stored or last read it. */
  readonly remembered: SeenArchive | null;
  /** Whether this device knows the package to be stored there: then it being gone is damage. */
  readonly knownStored: boolean;
}

const NOT_LOOKED_AT = "seal.json, manifest.json and the signatures in the vault: they were not looked at.";

/**
 * Asks the vault for one fact sheet of the archive and holds it against the seal or what was recorded, without reading a byte of it. One request
 * where the store keeps SHA-256 or this device remembers the object; else the records in the vault are read. Throws PACKAGE_NOT_STORED for a package
 * that is not there and was not known to be.
 */
export async function attestStored(question: AttestQuestion): Promise<StoredVerdict> {
  const { seal, signal } = question;
  const vault = withRetry(question.vault, pacing(question).retry, signal);
  const keys = keysOfSeal(seal);
  const archive = await vault.head(keys.archive);
  if (archive?.size !== seal.archiveSize) return await wrongSize(question, vault, keys, archive);
  const attested = attest(vault, archive, question);
  if (attested !== null) return byStore(question, keys, attested);
  const own = question.remembered;
  const records = own === null ? await recordsIn(vault, keys, question.packageDigest) : [own];
  return byRecord(question, archive, records);
}

/** An archive that was copied within the store may have one SHA-256 for the whole instead of one over its parts. */
function attest(vault: Vault, archive: ObjectInfo, { seal }: AttestQuestion): Attestation | null {
  const inParts = vault.attest(archive, { partSize: seal.partSize, digests: seal.parts, tags: null });
  if (inParts !== null || seal.archiveSha256 === undefined) return inParts;
  return vault.attest(archive, {
    partSize: seal.archiveSize,
    digests: [seal.archiveSha256],
    tags: null,
  });
}

const NOTHING_READ = { signatures: [], bytes: 0, parts: 0, archive: null } as const;

async function wrongSize(
  question: AttestQuestion,
  vault: Vault,
  keys: PackageKeys,
  archive: ObjectInfo | null,
): Promise<StoredVerdict> {
  const { seal, knownStored, signal } = question;
  if (archive === null && !knownStored && (await vault.head(keys.seal, signal)) === null) {
    throw fail(
      "PACKAGE_NOT_STORED",
      `Package ${seal.packageId} is not in the vault ${vault.location}.`,
      "Push it from the device that holds it.",
      { subject: seal.packageId },
    );
  }
  const what = archive === null ? "The archive is not in the vault." : "The archive has not its sealed size.";
  return {
    ...NOTHING_READ,
    verdict: "not valid",
    method: "looked up in the vault",
    findings: [sizeFinding(keys.archive, seal, archive)],
    proof: { basis: archive === null ? "nothing" : "size alone", proven: [what], notProven: [NOT_LOOKED_AT] },
  };
}

function byStore(
  question: AttestQuestion,
  keys: PackageKeys,
  { method, matches, expected, actual }: Attestation,
): StoredVerdict {
  const { parts } = question.seal;
  const what = parts.length === 1 ? "of the archive" : `of all ${parts.length} parts`;
  const notProven = [NOT_LOOKED_AT, ...openQuestions(question)];
  if (matches) {
    const proven = `The store's own SHA-256 ${what} equals the seal's: no byte was read by this device.`;
    const now = "What lies on the store's disks now: the store computed its SHA-256 when it took the bytes.";
    return {
      ...NOTHING_READ,
      verdict: "attested",
      method: "attested by the store",
      findings: [],
      proof: { basis: method, proven: [proven], notProven: [now, ...notProven] },
    };
  }
  // The store's word does not condemn either: whether the sealed bytes are there only reading them tells.
  const message =
    parts.length === 1
      ? "The store's own SHA-256 of the archive is not the sealed one: it holds other bytes."
      : "The store's own SHA-256 over the archive's parts is not the sealed one: it holds other bytes, or the same ones in parts of another size.";
  return {
    ...NOTHING_READ,
    verdict: "not verified",
    method: "attested by the store",
    findings: [
      storedFinding("STORE_DIGEST_DIFFERS", {
        severity: "warning",
        path: keys.archive,
        expected,
        actual,
        message,
      }),
    ],
    proof: {
      basis: method,
      proven: ["The archive has its sealed size."],
      notProven: ["That its bytes are the sealed ones: no byte was read (--full does).", ...notProven],
    },
  };
}

async function recordsIn(
  vault: Vault,
  keys: PackageKeys,
  packageDigest: string,
): Promise<readonly SeenArchive[]> {
  const records = await readStoredRecords(vault, keys, packageDigest);
  return records.map(({ size, version, versionId, actor, time }) => ({
    ...{ size, version, how: "stored", by: actor, time },
    ...(versionId === undefined ? {} : { versionId }),
  }));
}

/** Holds the object against those that were recorded; `records` is what this device remembers, or else all that the vault tells. */
function byRecord(
  question: AttestQuestion,
  archive: ObjectInfo,
  records: readonly SeenArchive[],
): StoredVerdict {
  const { vault, remembered } = question;
  const notProven = [NOT_LOOKED_AT, ...openQuestions(question)];
  const [store, version, sizeAnd] =
    vault.kind === "s3"
      ? ["store", "ETag", "Size and ETag"]
      : ["file system", "inode and times", "Size, inode and times"];
  const same = records.find((record) => isSameObject(archive, record));
  if (same !== undefined) {
    const facts = same.versionId === undefined ? sizeAnd : "Size, ETag and version id";
    const who = remembered === null ? ", as the record in the vault says" : "";
    const proven = `${facts} are those recorded when ${occasion(same)}${who}: the ${store} says that the object is the same; no byte was read.`;
    const forged =
      "That the record is true: it lies in the vault too, and whoever can replace the archive can replace it.";
    return {
      ...NOTHING_READ,
      verdict: "attested",
      method: "attested by the store",
      findings: [],
      proof: {
        basis: "recorded version",
        proven: [proven],
        notProven: [
          `What lies on the ${vault.kind === "s3" ? "store's disks" : "disk"} now.`,
          ...(remembered === null ? [forged] : []),
          ...notProven,
        ],
      },
    };
  }
  const size = `Only the size was compared: ${archive.size} bytes, as sealed.`;
  const unknown = "That its bytes are the sealed ones: no byte was read (--full does).";
  const proof: RemoteProof = { basis: "size alone", proven: [size], notProven: [unknown, ...notProven] };
  const last = records.at(-1);
  return {
    ...NOTHING_READ,
    verdict: "not verified",
    method: "looked up in the vault",
    findings: last === undefined ? [] : [changedSince(archive, last, version)],
    proof:
      last === undefined
        ? {
            ...proof,
            proven: [`${size} The vault keeps no SHA-256 of it, and no record says which object was stored.`],
          }
        : proof,
  };
}

function occasion({ how, by, time }: SeenArchive): string {
  return how === "read"
    ? `this device read every byte of it on ${utcText(time)}`
    : `it was stored on ${utcText(time)} by ${by.slice(0, 80)}`;
}

function changedSince(archive: ObjectInfo, record: SeenArchive, version: string): Finding {
  const onlyId = archive.version === record.version && archive.size === record.size;
  const [expected, actual] = onlyId
    ? [`version id ${record.versionId}`, `version id ${archive.versionId ?? "none"}`]
    : [`${version} ${record.version}`, `${version} ${archive.version}`];
  return storedFinding("RECORD_DIFFERS", {
    severity: "warning",
    path: archive.key,
    expected,
    actual,
    message: `It is not the object of which it is recorded that ${occasion(record)}: it was replaced, copied or restored since.`,
  });
}
