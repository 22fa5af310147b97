import { mkdir, readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { CancelSignal, Progress } from "../../src-contract/progress.ts";
import type { Seal } from "../../src-contract/seal.ts";
import type { Db } from "../catalog/database.ts";
import { createFileDurably, syncFolder } from "../durable-files.ts";
import { asFailure, fail, systemCode } from "../failing.ts";
import { writeFully } from "../full-io.ts";
import { besidePackage } from "../package/package-name.ts";
import type { Clock, ObjectInfo, RangeSource, Vault } from "../ports.ts";
import { removeIfThere, withFile } from "../vault/folder-files.ts";
import { digestStored } from "../vault/pump-range.ts";
import { type PackageKeys, sealKey, signatureName } from "../vault/vault-keys.ts";
import { confirmedDigest } from "./confirmed-digest.ts";
import type { TransferState } from "./journal.ts";
import { pacing } from "./pacing.ts";
import { dropPartialFile } from "./partial-file.ts";
import { byteMeter } from "./progress-meter.ts";
import { leaseTransfer } from "./queue-lease.ts";
import { type ExamineLanding, receiveArchive } from "./receive-archive.ts";
import { COMMAND_RETRY, type RetryPolicy, retrying } from "./retry.ts";
import { withRetry } from "./steady-vault.ts";
import { stopTransfer } from "./stop-transfer.ts";
import { readSmallObject, readStoredSeal, type StoredSeal } from "./stored-seal.ts";

export const LARGEST_SIGNATURE = 1024 * 1024;

export interface PullOptions {
  readonly vault: Vault;
  readonly vaultName: string;
  readonly db: Db;
  readonly engagement: string;
  readonly packageId: string;
  /** The package that is meant, where it is known: another seal under its id is refused with OBJECT_CONFLICT. */
  readonly packageDigest?: string | undefined;
  /** An existing folder. */
  readonly folder: string;
  readonly clock: Clock;
  readonly signal?: CancelSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly onState?: ((state: TransferState) => void) | undefined;
  /** Always so many parts at once; else as many as serve the vault best. */
  readonly lanes?: number | undefined;
  readonly retry?: RetryPolicy | undefined;
  readonly examine?: ExamineLanding | undefined;
  /** Bytes that will be needed in the folder once the package is there. */
  readonly roomAfter?: number | undefined;
}

/** Paths are absolute if the folder was. */
export interface PulledPackage {
  readonly seal: Seal;
  readonly sealBytes: Uint8Array;
  readonly packageDigest: string;
  readonly archive: string;
  readonly sealFile: string;
  readonly signatures: readonly string[];
  /** Of the archive. */
  readonly bytes: number;
  /** Whether `examine` looked at it in this run. */
  readonly examined: boolean;
}

/**
 * Fetches a stored package as `<name>.tar`, `<name>.signatures/` and, last, `<name>.seal.json`, so that a folder with the seal holds it whole.
 * Every part is verified against the seal as it lands; files inside the archive are for `examine`. Goes on where an earlier run stopped.
 * Throws NOT_VALID, PACKAGE_NOT_STORED, BUSY, PATH_EXISTS, DISK_FULL, DIGEST_MISMATCH, OBJECT_CHANGED.
 */
export async function pullPackage(options: PullOptions): Promise<PulledPackage> {
  const { vaultName, db, clock, signal } = options;
  const pace = pacing(options);
  const vault = withRetry(options.vault, pace.retry, signal);
  const { stored, object } = await findStored(vault, options.engagement, options.packageId, signal);
  const { seal, packageDigest, keys } = stored;
  if (options.packageDigest !== undefined && packageDigest !== options.packageDigest) {
    throw fail(
      "OBJECT_CONFLICT",
      `The vault ${vault.location} holds another seal of package ${seal.packageId} than is known here. Nothing was fetched.`,
      "Nothing stored is ever rewritten: find out who put it there.",
      { subject: seal.packageId, details: { stored: packageDigest, known: options.packageDigest } },
    );
  }
  const archive = join(options.folder, seal.archive);
  const plan = {
    direction: "pull",
    vault: vaultName,
    target: archive,
    packageId: seal.packageId,
    packageDigest,
  } as const;
  const lease = leaseTransfer(db, plan, clock);
  try {
    if (lease.found.state === "failed" || lease.found.packageDigest !== packageDigest) {
      for (const upload of lease.uploads()) {
        await dropPartialFile(upload);
        lease.dropUpload(upload.key);
      }
      lease.restart(packageDigest);
    }
    const advance = (state: TransferState) => {
      lease.advance(state);
      options.onState?.(state);
    };
    advance("receiving");
    const meter = byteMeter("receive", seal.archiveSize, seal.archive, clock, options.onProgress);
    const context = {
      vault,
      lease,
      signal,
      meter,
      advance,
      examine: options.examine,
      roomAfter: options.roomAfter,
      ...pace,
    };
    const examined = await receiveArchive(context, object, seal, archive);
    const beside = besidePackage(seal, options.folder);
    const signatures = await pullSignatures(vault, keys, beside.signatures, signal);
    await createOrSame(beside.sealFile, stored.sealBytes);
    lease.finish("received");
    options.onState?.("received");
    const { sealBytes } = stored;
    return {
      seal,
      sealBytes,
      packageDigest,
      archive,
      sealFile: beside.sealFile,
      signatures,
      bytes: seal.archiveSize,
      examined,
    };
  } catch (error) {
    throw await stopTransfer(lease, { abortUpload: dropPartialFile }, error, false);
  } finally {
    lease.release();
  }
}

/** The seal of a stored package and its archive, whose size is the sealed one. Throws PACKAGE_NOT_STORED or NOT_VALID. */
export async function findStored(
  vault: Vault,
  engagement: string,
  packageId: string,
  signal?: CancelSignal,
): Promise<{ readonly stored: StoredSeal; readonly object: ObjectInfo }> {
  const stored = await readStoredSeal(vault, { seal: sealKey(engagement, packageId) }, signal);
  if (stored === null) {
    throw fail(
      "PACKAGE_NOT_STORED",
      `Package ${packageId} is not in the vault ${vault.location}.`,
      "Push it from the device that holds it.",
      { subject: packageId },
    );
  }
  const object = await vault.head(stored.keys.archive);
  if (object?.size !== stored.seal.archiveSize) {
    throw fail(
      "NOT_VALID",
      `The vault holds the seal of package ${packageId}, but ${object === null ? "not its archive" : `its archive has ${object.size} bytes instead of ${stored.seal.archiveSize}`}.`,
      "Find out who changed the vault; push the package again from a device that holds it.",
      {
        subject: stored.keys.archive,
        details: { sealed: stored.seal.archiveSize, stored: object?.size ?? null },
      },
    );
  }
  return { stored, object };
}

/**
 * Fetches manifest.json as a stream into the new file `target` (PATH_EXISTS when taken) and holds it against the seal: DIGEST_MISMATCH and no
 * file when it differs. Not resumable: it is small beside the archive. Nor durable: it is for reading now. `listed` is what a listing said of it, null when it is not there.
 */
export async function pullManifest(
  vault: Vault,
  { seal, keys }: Pick<StoredSeal, "seal" | "keys">,
  target: string,
  {
    signal,
    listed,
    retry = COMMAND_RETRY,
  }: {
    readonly signal?: CancelSignal | undefined;
    readonly listed?: ObjectInfo | null | undefined;
    readonly retry?: RetryPolicy | undefined;
  } = {},
): Promise<void> {
  const object = listed === undefined ? await vault.head(keys.manifest) : listed;
  if (object === null) {
    throw fail(
      "PACKAGE_NOT_STORED",
      `${keys.manifest} is missing in the vault.`,
      "Push the package again from a device that holds it.",
      { subject: keys.manifest },
    );
  }
  try {
    await withFile(target, "wx", async (handle) => {
      const whole = { offset: 0, size: object.size };
      const also = (at: number, bytes: Uint8Array) => writeFully(handle, at, bytes);
      const read = () => retrying(retry, signal, () => digestStored(vault, object, whole, { signal, also }));
      const sha256 = await confirmedDigest(read, seal.manifestSha256, keys.manifest);
      if (sha256 !== seal.manifestSha256) {
        throw fail(
          "DIGEST_MISMATCH",
          `${keys.manifest} in the vault differs from what was sealed.`,
          "Verify the package in the vault in full.",
          {
            subject: keys.manifest,
            details: { expected: seal.manifestSha256, actual: sha256 },
          },
        );
      }
    });
  } catch (error) {
    if (systemCode(error) !== "EEXIST") await removeIfThere(target);
    throw asFailure(error, target);
  }
}

/**
 * Fetches the signature envelopes into `folder`, which is made when there are any; answers with their paths in order of name.
 * Whether they are valid is not looked at. What has another kind of name, or over 1 MiB, is no signature and is left.
 */
async function pullSignatures(
  vault: Vault,
  keys: PackageKeys,
  folder: string,
  signal?: CancelSignal,
): Promise<readonly string[]> {
  const files: string[] = [];
  for await (const { key } of vault.list(keys.signaturesPrefix)) {
    const name = signatureName(key.slice(keys.prefix.length));
    if (name === null) continue;
    const bytes = (await readSmallObject(vault, key, LARGEST_SIGNATURE, signal))?.bytes ?? null;
    if (bytes === null) continue;
    const file = join(folder, name);
    if (files.length === 0) {
      await makeFolder(folder);
      await dropTemporaries(folder);
    }
    await createOrSame(file, bytes);
    files.push(file);
  }
  return files;
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    await syncFolder(dirname(folder));
  } catch (error) {
    throw asFailure(error, folder);
  }
}

/** Removes what a process left that was killed while it wrote a file here; under the transfer's lease, nobody else does. */
async function dropTemporaries(folder: string): Promise<void> {
  for (const name of await readdir(folder))
    if (name.startsWith(".") && name.endsWith(".tmp")) await removeIfThere(join(folder, name));
}

/** Creates a file; one with the same bytes is a success, any other is PATH_EXISTS. */
async function createOrSame(file: string, bytes: Uint8Array): Promise<void> {
  try {
    await createFileDurably(file, bytes);
  } catch (error) {
    if (systemCode(error) === "EEXIST" && Buffer.compare(await readFile(file), bytes) === 0) return;
    throw asFailure(error, file);
  }
}

/** Ranges of that very version of a stored archive; OBJECT_CHANGED once it was replaced. Bytes are not held against the seal. */
export function openStoredArchive(vault: Vault, object: ObjectInfo): RangeSource {
  return {
    size: object.size,
    read: (offset, target, signal) => vault.getRange(object, offset, target, signal),
    close: async () => undefined,
  };
}
