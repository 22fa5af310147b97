import { basename } from "node:path";
import type { FailureCode } from "../../src-contract/failure.ts";
import type { CancelSignal, Progress } from "../../src-contract/progress.ts";
import type { Seal } from "../../src-contract/seal.ts";
import { openFileSource } from "../archive/file-source.ts";
import type { Db } from "../catalog/database.ts";
import { asFailure, fail } from "../failing.ts";
import { packageDigest as digestOfSeal } from "../package/seal-file.ts";
import type { Clock, RangeSource, Vault } from "../ports.ts";
import { keysOfSeal, type PackageKeys } from "../vault/vault-keys.ts";
import { digestParts, readSmallFile } from "./digest-parts.ts";
import { type CheckedObject, checkSent, type SealedParts } from "./end-check.ts";
import type { TransferLease, TransferState } from "./journal.ts";
import { pacing } from "./pacing.ts";
import { byteMeter } from "./progress-meter.ts";
import { leaseTransfer } from "./queue-lease.ts";
import { pushPlan } from "./queue-rows.ts";
import type { RetryPolicy } from "./retry.ts";
import { type SendContext, type SentObject, sendObject } from "./send-object.ts";
import { withRetry } from "./steady-vault.ts";
import { stopTransfer } from "./stop-transfer.ts";
import { findStoredRecord, type StoredRecord, writeStoredRecord } from "./stored-record.ts";
import { readStoredSeal } from "./stored-seal.ts";

/** Up to here manifest.json is one object in memory; beyond, it is sent in parts of this size. */
const MANIFEST_PART = 16 * 1024 * 1024;
const LARGEST_SIGNATURE = 1024 * 1024;

export interface PushOptions {
  readonly vault: Vault;
  readonly vaultName: string;
  readonly db: Db;
  readonly engagement: string;
  readonly seal: Seal;
  readonly sealBytes: Uint8Array;
  /** Read in several ranges at once; stays open. */
  readonly archive: RangeSource;
  readonly manifestFile: string;
  /** Stored under their own names. */
  readonly signatureFiles: readonly string[];
  /** Who stores it, as a key segment: a key's fingerprint or a device's name. */
  readonly actor: string;
  readonly clock: Clock;
  readonly signal?: CancelSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /**
   * Called when the bytes of part `partIndex` (from 0; archive bytes [offset, offset + size)) are not the sealed ones, before the upload is
   * dropped. What it throws, naming the changed files, becomes the failure; else it is DIGEST_MISMATCH.
   */
  readonly onMismatch?: ((partIndex: number, offset: number, size: number) => Promise<void>) | undefined;
  readonly onState?: ((state: TransferState) => void) | undefined;
  /** Called when the package is stored, before the journal says so: a process that dies in between is followed by one that calls it again. */
  readonly onStored?: ((pushed: PushedPackage) => void) | undefined;
  /** The transfer's lease where the caller has it; the caller releases it. */
  readonly lease?: TransferLease | undefined;
  /** Always so many parts at once; else as many as serve the vault best. */
  readonly lanes?: number | undefined;
  readonly retry?: RetryPolicy | undefined;
}

export interface PushedPackage {
  /** Bytes of the archive in the vault. */
  readonly bytes: number;
  /** The archive was there, and a record that it was found to be right when it was stored: neither was it sent nor checked now. */
  readonly alreadyStored: boolean;
  /** How the end check of the archive was done, by whoever stored it. */
  readonly method: string;
  readonly stored: StoredRecord;
}

/**
 * Sends a sealed package into a vault: archive, manifest.json, signatures, end check, stored record, and seal.json last, which makes it count.
 * Safe to run again after any end of an earlier run, and for a package that is stored already: what was lost of it is sent again, and an archive of
 * which no record says that it is right is checked. Nothing that is there is rewritten. One process runs it at a time (BUSY).
 */
export async function pushPackage(options: PushOptions): Promise<PushedPackage> {
  const { seal, sealBytes, db, clock } = options;
  if (options.engagement !== seal.engagement) {
    throw fail(
      "INVALID_INPUT",
      `The package was sealed for engagement ${seal.engagement}, not for ${options.engagement}.`,
      "Push it to the vault of its own engagement.",
      { subject: seal.packageId },
    );
  }
  const keys = keysOfSeal(seal);
  const packageDigest = digestOfSeal(sealBytes);
  const lease = options.lease ?? leaseTransfer(db, pushPlan(seal, packageDigest, options.vaultName), clock);
  const pace = pacing(options);
  const vault = withRetry(options.vault, pace.retry, options.signal);
  const context = { vault, lease, signal: options.signal, ...pace };
  const push = new Push(options, context, keys, packageDigest);
  try {
    if (lease.found.state === "failed" || lease.found.packageDigest !== packageDigest) {
      for (const upload of lease.uploads()) {
        await vault.abortUpload(upload);
        lease.dropUpload(upload.key);
      }
      lease.restart(packageDigest);
    }
    const pushed = await push.run();
    options.onStored?.(pushed);
    lease.finish("stored");
    options.onState?.("stored");
    return pushed;
  } catch (error) {
    throw await stopTransfer(lease, vault, error, push.refused);
  } finally {
    if (options.lease === undefined) lease.release();
  }
}

/** How it ends for a device when another one has stored the same package meanwhile and dropped all uploads of it. */
const LOST_RACE: ReadonlySet<FailureCode> = new Set(["OBJECT_CHANGED", "OBJECT_CONFLICT", "PATH_NOT_FOUND"]);

/** An earlier run that came as far may have written its record. */
const RECORDED: ReadonlySet<TransferState> = new Set(["recording", "sealing"]);

/** What is in the vault and was not held against the seal yet. */
interface SentPackage {
  readonly archive: SentObject;
  readonly manifest: SentObject;
}

/** One run of a push, under its lease. */
class Push {
  readonly #options: PushOptions;
  readonly #context: SendContext;
  readonly #keys: PackageKeys;
  readonly #packageDigest: string;
  #state: TransferState = "queued";
  /** The source's bytes were not the sealed ones: this transfer is over. */
  refused = false;
  /** SHA-256 hex of manifest.json's parts, once it was read. */
  #manifestParts: readonly string[] = [];

  constructor(options: PushOptions, context: SendContext, keys: PackageKeys, packageDigest: string) {
    this.#options = options;
    this.#context = context;
    this.#keys = keys;
    this.#packageDigest = packageDigest;
  }

  async run(): Promise<PushedPackage> {
    const before = await this.#storedBefore();
    if (before !== null) return await this.#completeStored(before);
    let sent: SentPackage;
    try {
      sent = await this.#send();
    } catch (error) {
      return await this.#afterRace(error);
    }
    // What is found to be wrong here is never a lost race.
    const checked = await this.#check(sent);
    try {
      return await this.#seal(checked);
    } catch (error) {
      return await this.#afterRace(error);
    }
  }

  /** Goes on with what another device has stored meanwhile; throws `error` when that is not what went wrong. */
  async #afterRace(error: unknown): Promise<PushedPackage> {
    if (this.refused || !LOST_RACE.has(asFailure(error).failure.code)) throw error;
    const winner = await this.#storedBefore();
    if (winner === null) throw error;
    return await this.#completeStored(winner);
  }

  /** For an archive that was stored and checked before: sends what is missing beside it. */
  async #completeStored(stored: StoredRecord): Promise<PushedPackage> {
    const manifest = await this.#sendBeside();
    this.#advance("checking");
    await this.#checkManifest(manifest);
    await this.#dropUploads();
    const bytes = this.#options.seal.archiveSize;
    return { bytes, alreadyStored: true, method: stored.method, stored };
  }

  async #send(): Promise<SentPackage> {
    const { seal, archive } = this.#options;
    if (archive.size !== seal.archiveSize) {
      throw fail(
        "SOURCE_CHANGED",
        `The archive has ${archive.size} bytes; ${seal.archiveSize} were sealed.`,
        "Restore the sealed archive; nothing was sent.",
        {
          details: { actual: archive.size, sealed: seal.archiveSize },
        },
      );
    }
    this.#advance("sending-archive");
    const sent = await this.#sendArchive();
    return { archive: sent, manifest: await this.#sendBeside() };
  }

  /** Sends manifest.json and the signatures, as far as they are not there. */
  async #sendBeside(): Promise<SentObject> {
    this.#advance("sending-manifest");
    const manifest = await this.#sendManifest();
    this.#advance("sending-signatures");
    await this.#sendSignatures();
    return manifest;
  }

  async #check({ archive, manifest }: SentPackage): Promise<CheckedObject> {
    const { seal } = this.#options;
    this.#advance("checking");
    await this.#checkManifest(manifest);
    return await this.#checkObject(archive, { partSize: seal.partSize, digests: seal.parts });
  }

  /** Records how the archive was checked, then puts the seal: from then on the package is stored. */
  async #seal({ info, method }: CheckedObject): Promise<PushedPackage> {
    const { vault, lease } = this.#context;
    const { seal, sealBytes } = this.#options;
    this.#advance("recording");
    const stored = await writeStoredRecord(
      vault,
      this.#keys,
      {
        packageId: seal.packageId,
        packageDigest: this.#packageDigest,
        archive: info,
        method,
        actor: this.#options.actor,
        now: this.#options.clock.now(),
      },
      RECORDED.has(lease.found.state),
    );
    this.#advance("sealing");
    await vault.put(this.#keys.seal, sealBytes);
    await this.#dropUploads();
    return { bytes: seal.archiveSize, alreadyStored: false, method, stored };
  }

  #advance(state: TransferState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#context.lease.advance(state);
    this.#options.onState?.(state);
  }

  /**
   * The record that the archive which is there now was found to be right when it was stored. Null when this seal is not there, or no such archive, or
   * none that is recorded (it was lost and sent again, copied, or put there by somebody): then the end check tells.
   */
  async #storedBefore(): Promise<StoredRecord | null> {
    const { vault } = this.#context;
    if (!(await this.#isSealed())) return null;
    const archive = await vault.head(this.#keys.archive);
    if (archive?.size !== this.#options.seal.archiveSize) return null;
    return await findStoredRecord(vault, this.#keys, this.#packageDigest, archive);
  }

  /** Whether this very seal is there; throws OBJECT_CONFLICT when it is another one. */
  async #isSealed(): Promise<boolean> {
    const found = await readStoredSeal(this.#context.vault, this.#keys);
    if (found === null) return false;
    if (found.packageDigest === this.#packageDigest) return true;
    throw fail(
      "OBJECT_CONFLICT",
      `The vault holds another seal of package ${this.#options.seal.packageId}.`,
      "Nothing stored is ever rewritten: compare the two packages.",
      {
        subject: this.#keys.seal,
        details: { stored: found.packageDigest, here: this.#packageDigest },
      },
    );
  }

  #sendArchive(): Promise<SentObject> {
    const { seal, archive, clock, onProgress } = this.#options;
    return sendObject(this.#context, {
      key: this.#keys.archive,
      source: archive,
      partSize: seal.partSize,
      digests: seal.parts,
      evidence: true,
      meter: byteMeter("send", archive.size, seal.archive, clock, onProgress),
      beforeSending: (bytes) => {
        this.#advance("sending-archive");
        return this.#context.vault.requireRoom(archive.size, bytes);
      },
      beforeCompleting: () => this.#advance("completing"),
      onRefused: async ({ number, offset, size }) => {
        this.refused = true;
        await this.#options.onMismatch?.(number - 1, offset, size);
      },
    });
  }

  async #sendManifest(): Promise<SentObject> {
    const { seal, manifestFile, clock, onProgress } = this.#options;
    const source = await openFileSource(manifestFile);
    try {
      const digests = await digestParts(source, MANIFEST_PART);
      if (digests.whole !== seal.manifestSha256) {
        throw fail(
          "DIGEST_MISMATCH",
          `${manifestFile} is not the sealed manifest.`,
          "Restore it from the archive.",
          { subject: manifestFile },
        );
      }
      this.#manifestParts = digests.parts;
      return await sendObject(this.#context, {
        key: this.#keys.manifest,
        source,
        partSize: MANIFEST_PART,
        digests: digests.parts,
        evidence: false,
        meter: byteMeter("send", source.size, "manifest.json", clock, onProgress),
        beforeSending: async () => undefined,
        beforeCompleting: () => undefined,
        onRefused: async () => {
          this.refused = true;
        },
      });
    } finally {
      await source.close();
    }
  }

  async #sendSignatures(): Promise<void> {
    for (const file of this.#options.signatureFiles) {
      const bytes = await readSmallFile(file, LARGEST_SIGNATURE);
      await this.#context.vault.put(`${this.#keys.signaturesPrefix}${basename(file)}`, bytes);
    }
  }

  #checkManifest(sent: SentObject): Promise<CheckedObject> {
    return this.#checkObject(sent, { partSize: MANIFEST_PART, digests: this.#manifestParts });
  }

  #checkObject(sent: SentObject, expected: SealedParts): Promise<CheckedObject> {
    const { clock, onProgress } = this.#options;
    const { key, size } = sent.info;
    const meter = byteMeter("verify", size, key, clock, onProgress);
    return checkSent({ ...this.#context, meter }, sent, expected, () => this.#isSealed());
  }

  /** A stored package needs no upload any more: what crashed runs and devices that lost a race left behind is dropped. */
  async #dropUploads(): Promise<void> {
    const { vault } = this.#context;
    for await (const upload of vault.listUploads(this.#keys.prefix)) {
      await vault.abortUpload(upload);
    }
  }
}
