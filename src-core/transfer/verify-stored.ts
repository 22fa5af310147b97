import type { Finding } from "../../src-contract/findings.ts";
import { asFailure } from "../failing.ts";
import { readManifest } from "../package/manifest-reader.ts";
import type { ObjectInfo, RangeSource, Vault } from "../ports.ts";
import { digestStored } from "../vault/pump-range.ts";
import { keysOfSeal, type PackageKeys, signatureName } from "../vault/vault-keys.ts";
import { checkEnvelopes } from "../verify/check-signatures.ts";
import { confirmedDigest } from "./confirmed-digest.ts";
import { type DamagedPart, damagedParts } from "./end-check.ts";
import { type ByteRange, type FilesInRange, filesInRanges } from "./files-in-ranges.ts";
import { pacing } from "./pacing.ts";
import { byteMeter } from "./progress-meter.ts";
import { LARGEST_SIGNATURE, openStoredArchive } from "./pull-package.ts";
import { retrying } from "./retry.ts";
import { withRetry } from "./steady-vault.ts";
import { readSmallObject } from "./stored-seal.ts";
import {
  openQuestions,
  type StoredQuestion,
  type StoredVerdict,
  sizeFinding,
  storedFinding,
} from "./stored-verdict.ts";

export interface VerifyQuestion extends StoredQuestion {
  /** A manifest.json on this device that was held against the seal, to name files of damaged parts; null when there is none. */
  readonly manifest: string | RangeSource | null;
  /** Whether this device has seen before that the digests in the manifests are those of the files. */
  readonly known: boolean;
}

/**
 * Holds a stored package against its seal by reading every byte of it, without writing anything to disk: the archive part by part, seal.json,
 * manifest.json and the signatures. Names every part that differs with the files in it. A vault that cannot be reached is a failure, not a verdict.
 */
export async function verifyStored(question: VerifyQuestion): Promise<StoredVerdict> {
  const look = new Look(question);
  const beside = await look.seal();
  const manifest = await look.manifest();
  const signed = await look.signatures();
  const archive = await look.archive(manifest.sound);
  const findings = [...beside, ...manifest.findings, ...archive.findings, ...signed.findings];
  const errors = findings.some(({ severity }) => severity === "error");
  const { seal, known } = question;
  const all = seal.parts.length;
  const good = archive.partsRead - archive.partsDamaged;
  const parts = `${good === all ? (all === 1 ? "The only part" : `All ${all} parts`) : `${good} of ${all} parts`} of the archive`;
  const same = "seal.json and manifest.json in the vault are those of the package.";
  const digests =
    "That the digests in its manifests are those of its files: pull it, then verify the copy with --full.";
  return {
    verdict: errors ? "not valid" : "valid",
    method: "stored archive",
    findings,
    signatures: signed.signatures,
    proof: {
      basis: archive.partsRead === 0 ? "nothing" : "every part read",
      proven: [
        `${parts} ${good === 1 ? "was" : "were"} read and ${good === 1 ? "has its" : "have their"} sealed SHA-256.`,
        ...(beside.length === 0 && manifest.sound !== null ? [same] : []),
      ],
      notProven: [...(known ? [] : [digests]), ...openQuestions(question)],
    },
    bytes: archive.bytes,
    parts: archive.partsRead,
    archive: errors ? null : archive.object,
  };
}

interface ArchiveVerdict {
  readonly findings: readonly Finding[];
  readonly object: ObjectInfo | null;
  readonly bytes: number;
  readonly partsRead: number;
  readonly partsDamaged: number;
}

/** One look at a stored package. */
class Look {
  readonly #question: VerifyQuestion;
  readonly #keys: PackageKeys;
  readonly #pace: ReturnType<typeof pacing>;
  readonly #vault: Vault;

  constructor(question: VerifyQuestion) {
    this.#question = question;
    this.#keys = keysOfSeal(question.seal);
    this.#pace = pacing(question);
    this.#vault = withRetry(question.vault, this.#pace.retry, question.signal);
  }

  async seal(): Promise<readonly Finding[]> {
    const { sealBytes, signal } = this.#question;
    const path = this.#keys.seal;
    const stored = await readSmallObject(this.#vault, path, sealBytes.length, signal);
    if (stored === null) {
      const message = "The vault holds no seal.json: the package does not count as stored.";
      return [
        storedFinding("SEAL_MISSING", {
          path,
          expected: `${sealBytes.length} bytes`,
          actual: "nothing",
          message,
        }),
      ];
    }
    if (stored.bytes !== null && Buffer.compare(stored.bytes, sealBytes) === 0) return [];
    const message = "seal.json in the vault is not the seal at hand.";
    return [
      storedFinding("SEAL_DIFFERS", { path, expected: "the seal at hand", actual: "other bytes", message }),
    ];
  }

  /** `sound` is the object whose digest is the sealed one, else null. */
  async manifest(): Promise<{ readonly findings: readonly Finding[]; readonly sound: ObjectInfo | null }> {
    const { seal, signal } = this.#question;
    const path = this.#keys.manifest;
    const expected = seal.manifestSha256;
    const object = await this.#vault.head(path);
    if (object === null) {
      const message = "The vault holds no manifest.json of the package.";
      return {
        findings: [storedFinding("MANIFEST_MISSING", { path, expected, actual: "nothing", message })],
        sound: null,
      };
    }
    // The archive holds the sealed one whole: what is larger is another, and need not be read.
    const actual =
      object.size > seal.archiveSize
        ? `${object.size} bytes`
        : await confirmedDigest(
            () =>
              retrying(this.#pace.retry, signal, () =>
                digestStored(this.#vault, object, { offset: 0, size: object.size }, { signal }),
              ),
            expected,
            path,
          );
    if (actual === expected) return { findings: [], sound: object };
    const message = "manifest.json in the vault is not the sealed one.";
    return {
      findings: [storedFinding("MANIFEST_JSON_DIGEST", { path, expected, actual, message })],
      sound: null,
    };
  }

  /** As a folder's signatures are checked; whose keys they are is not judged here. */
  async signatures(): Promise<ReturnType<typeof checkEnvelopes>> {
    const { packageDigest, signal } = this.#question;
    const envelopes: { readonly name: string; readonly bytes: Uint8Array }[] = [];
    for await (const { key } of this.#vault.list(this.#keys.signaturesPrefix)) {
      const name = signatureName(key.slice(this.#keys.prefix.length));
      if (name === null) continue;
      const found = await readSmallObject(this.#vault, key, LARGEST_SIGNATURE, signal);
      if (found !== null) envelopes.push({ name, bytes: found.bytes ?? new Uint8Array() });
    }
    return checkEnvelopes(envelopes, packageDigest);
  }

  async archive(soundManifest: ObjectInfo | null): Promise<ArchiveVerdict> {
    const { seal, clock, onProgress, signal } = this.#question;
    const key = this.#keys.archive;
    const object = await this.#vault.head(key);
    if (object === null) {
      const findings = [sizeFinding(key, seal, null)];
      return { findings, object, bytes: 0, partsRead: 0, partsDamaged: 0 };
    }
    const bytes = Math.min(object.size, seal.parts.length * seal.partSize);
    const meter = byteMeter("verify", bytes, seal.archive, clock, onProgress);
    const context = { ...this.#pace, vault: this.#vault, meter, signal };
    const expected = { partSize: seal.partSize, digests: seal.parts };
    const damaged = await damagedParts(context, object, expected);
    const findings = await this.#damage(object, damaged, soundManifest);
    const partsRead = Math.min(seal.parts.length, Math.ceil(object.size / seal.partSize));
    return { findings, object, bytes, partsRead, partsDamaged: damaged.length };
  }

  async #damage(
    object: ObjectInfo,
    damaged: readonly DamagedPart[],
    soundManifest: ObjectInfo | null,
  ): Promise<readonly Finding[]> {
    const { seal } = this.#question;
    const missing = seal.archiveSize - object.size;
    const ranges: ByteRange[] = damaged.map(({ offset, size }) => ({ start: offset, end: offset + size }));
    // What was cut off lies beyond the last part that could be read.
    const cut = Math.max(ranges.at(-1)?.end ?? 0, object.size);
    if (missing > 0) ranges.push({ start: cut, end: seal.archiveSize });
    const files = ranges.length === 0 ? [] : await this.#filesIn(ranges, soundManifest);
    const found = damaged.map(({ number, offset, size, expected, actual }, index) =>
      storedFinding("PART_DIFFERS", {
        path: object.key,
        expected,
        actual,
        message: `Part ${number} of ${seal.parts.length}, bytes ${offset} to ${offset + size - 1}, differs from what was sealed; ${inIt(files?.[index], "in it")}.`,
        ...named(files?.[index]),
      }),
    );
    if (missing === 0) return found;
    const wrongSize = sizeFinding(object.key, seal, object);
    if (missing < 0) return [wrongSize, ...found];
    const lost = files?.[damaged.length];
    const message = `${wrongSize.message} Bytes ${cut} to ${seal.archiveSize - 1} are gone; ${inIt(lost, "there")}.`;
    return [{ ...wrongSize, message, ...named(lost) }, ...found];
  }

  /** By the manifest on this device, else by the one in the vault if it is sound; null when neither tells. */
  async #filesIn(
    ranges: readonly ByteRange[],
    soundManifest: ObjectInfo | null,
  ): Promise<readonly FilesInRange[] | null> {
    const { manifest, signal } = this.#question;
    const source =
      manifest ?? (soundManifest === null ? null : openStoredArchive(this.#vault, soundManifest));
    if (source === null) return null;
    try {
      return await filesInRanges(await readManifest(source, signal === undefined ? {} : { signal }), ranges);
    } catch (error) {
      // Whoever sealed it can have sealed a manifest that is none: then no file is known by it.
      if (asFailure(error).failure.code === "MANIFEST_INVALID") return null;
      throw error;
    }
  }
}

function named(files: FilesInRange | undefined): Pick<Finding, "files"> {
  return files === undefined || files.names.length === 0 ? {} : { files: files.names };
}

/** What lies in a range, as the end of a sentence. */
function inIt(files: FilesInRange | undefined, where: string): string {
  if (files === undefined) return "which files lie there is not known: no sound manifest.json is at hand";
  const kinds = [
    ...(files.count === 0 ? [] : [`${files.count} ${files.count === 1 ? "file" : "files"}`]),
    ...(files.tagFiles ? ["the bag's own lists"] : []),
  ];
  if (kinds.length === 0) return `no file's content lies ${where}`;
  return `${kinds.join(" and ")} ${kinds.length === 1 && files.count === 1 ? "lies" : "lie"} ${where}`;
}
