import type {
  Finding,
  RemoteProof,
  SignatureCheck,
  VerificationMethod,
  VerificationReport,
} from "../../src-contract/findings.ts";
import type { CancelSignal, Progress } from "../../src-contract/progress.ts";
import type { Seal } from "../../src-contract/seal.ts";
import type { Clock, ObjectInfo, Vault } from "../ports.ts";
import type { RetryPolicy } from "./retry.ts";

/** What is asked of a package in a vault. */
export interface StoredQuestion {
  readonly vault: Vault;
  /** The seal that is trusted. */
  readonly seal: Seal;
  readonly sealBytes: Uint8Array;
  /** SHA-256 hex of `sealBytes`. */
  readonly packageDigest: string;
  /** The seal itself comes from the vault: nothing else here speaks for it. */
  readonly sealFromVault: boolean;
  readonly clock: Clock;
  readonly signal?: CancelSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly retry?: RetryPolicy | undefined;
}

export interface StoredVerdict {
  readonly verdict: VerificationReport["verdict"];
  readonly method: Extract<
    VerificationMethod,
    "stored archive" | "attested by the store" | "looked up in the vault"
  >;
  readonly findings: readonly Finding[];
  readonly signatures: readonly SignatureCheck[];
  readonly proof: RemoteProof;
  /** What was read of the archive. */
  readonly bytes: number;
  readonly parts: number;
  /** The object whose every byte was found to be sealed; null unless the verdict is `valid`. */
  readonly archive: ObjectInfo | null;
}

const RULE = 'docs/package-format.md, "Verification"';

/** The closed list of what a look at a package in a vault can find, beside SIGNATURE. */
type StoredFinding =
  | "SEAL_MISSING"
  | "SEAL_DIFFERS"
  | "ARCHIVE_SIZE"
  | "PART_DIFFERS"
  | "MANIFEST_MISSING"
  | "MANIFEST_JSON_DIGEST"
  | "STORE_DIGEST_DIFFERS"
  | "RECORD_DIFFERS";

export function storedFinding(
  code: StoredFinding,
  about: Pick<Finding, "path" | "expected" | "actual" | "message" | "files"> & {
    readonly severity?: Finding["severity"];
  },
): Finding {
  return { code, severity: "error", rule: RULE, ...about };
}

/** Of an archive in a vault whose size is not the sealed one, or that is not there (null). */
export function sizeFinding(key: string, seal: Seal, archive: ObjectInfo | null): Finding {
  const actual = archive === null ? "nothing" : `${archive.size} bytes`;
  return storedFinding("ARCHIVE_SIZE", {
    path: key,
    expected: `${seal.archiveSize} bytes`,
    actual,
    message: `The archive in the vault: ${actual} instead of ${seal.archiveSize} bytes.`,
  });
}

/** What no look at the vault alone can prove of a package whose seal lies there too. */
export function openQuestions({ sealFromVault }: Pick<StoredQuestion, "sealFromVault">): readonly string[] {
  return sealFromVault
    ? ["Who sealed it: this device has no seal of the package but the one in the vault."]
    : [];
}

/** A time of the records as a person reads it, in UTC: `2026-11-21 14:39 UTC`. What is no time is shown as it is. */
export function utcText(time: string): string {
  const match = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:[\d.]+)?Z$/.exec(time);
  return match === null ? time.slice(0, 80) : `${match[1]} ${match[2]} UTC`;
}
