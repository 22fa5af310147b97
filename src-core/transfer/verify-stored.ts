import type { Finding } from "../../src-contract/findings.ts";
import type { CancelSignal, Progress } from "../../src-contract/progress.ts";
import type { Seal } from "../../src-contract/seal.ts";
import type { Clock, Vault } from "../ports.ts";
import { keysOfSeal } from "../vault/vault-keys.ts";
import { damagedParts } from "./end-check.ts";
import { pacing } from "./pacing.ts";
import { byteMeter } from "./progress-meter.ts";
import type { RetryPolicy } from "./retry.ts";
import { readSmallObject } from "./stored-seal.ts";

const RULE = 'docs/package-format.md, "Verification"';

export interface StoredVerdict {
  /** `attested`: sizes and the seal are as they must be, no byte of the archive was read. `valid`: every part was read. */
  readonly verdict: "valid" | "attested" | "not valid";
  readonly findings: readonly Finding[];
  /** What was read of the archive, 0 when it was only attested. */
  readonly bytes: number;
  readonly parts: number;
}

export interface VerifyStoredOptions {
  readonly vault: Vault;
  /** The seal that is trusted, not one that was just read from the vault. */
  readonly seal: Seal;
  readonly sealBytes: Uint8Array;
  readonly mode: "attested" | "full";
  readonly clock: Clock;
  readonly signal?: CancelSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly retry?: RetryPolicy | undefined;
}

/**
 * Holds a stored package against its seal without writing anything to disk. `full` reads every byte and names every part that differs;
 * that is all of the archive's bytes, so its headers and files are then what was sealed.
 * A vault that cannot be reached is a failure, not a verdict.
 */
export async function verifyStored(options: VerifyStoredOptions): Promise<StoredVerdict> {
  const { vault, seal, sealBytes, mode, signal, clock, onProgress } = options;
  const keys = keysOfSeal(seal);
  const findings: Finding[] = [];
  const found = (code: string, path: string, expected: string, actual: string, message: string) =>
    findings.push({ code, severity: "error", path, expected, actual, rule: RULE, message });

  const stored = await readSmallObject(vault, keys.seal, sealBytes.length, signal);
  if (stored === null) {
    found(
      "SEAL_MISSING",
      keys.seal,
      `${sealBytes.length} bytes`,
      "nothing",
      "The vault holds no seal.json: the package does not count as stored.",
    );
  } else if (stored.bytes === null || Buffer.compare(stored.bytes, sealBytes) !== 0) {
    found(
      "SEAL_DIFFERS",
      keys.seal,
      "the seal at hand",
      "other bytes",
      "seal.json in the vault is not the seal at hand.",
    );
  }
  const archive = await vault.head(keys.archive);
  if (archive?.size !== seal.archiveSize) {
    const actual = archive === null ? "nothing" : `${archive.size} bytes`;
    found(
      "ARCHIVE_SIZE",
      keys.archive,
      `${seal.archiveSize} bytes`,
      actual,
      `The archive in the vault: ${actual} instead of ${seal.archiveSize} bytes.`,
    );
  }
  if (archive === null || mode === "attested") {
    return { verdict: findings.length > 0 ? "not valid" : "attested", findings, bytes: 0, parts: 0 };
  }
  const meter = byteMeter("verify", archive.size, seal.archive, clock, onProgress);
  const context = { vault, meter, signal, ...pacing(options) };
  for (const part of await damagedParts(context, archive, { partSize: seal.partSize, digests: seal.parts })) {
    found(
      "PART_DIFFERS",
      keys.archive,
      part.expected,
      part.actual,
      `Part ${part.number} (bytes ${part.offset} to ${part.offset + part.size - 1}) differs from what was sealed.`,
    );
  }
  const parts = Math.ceil(archive.size / seal.partSize);
  return { verdict: findings.length > 0 ? "not valid" : "valid", findings, bytes: archive.size, parts };
}
