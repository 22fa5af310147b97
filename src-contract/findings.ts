/**
 * What a verification or a preflight found, as data. `error` makes a package not valid (or blocks a seal); `warning` does not.
 * `rule` names where the rule comes from: an RFC section, docs/package-format.md, an operating system's own rule.
 */
export interface Finding {
  readonly code: string;
  readonly severity: "error" | "warning";
  /** Path in the bag or archive it is about; absent when it is about the whole. */
  readonly path?: string;
  readonly expected?: string;
  readonly actual?: string;
  readonly rule: string;
  readonly message: string;
  /** Payload files that it touches, where it is about a range of an archive and they are known; at most 1,000, the first ones. */
  readonly files?: readonly string[];
}

/** What a verification did, in the words the verdict uses. */
export type VerificationMethod =
  /** All bytes of the bag's files were read and compared with its manifests. */
  | "bag"
  /** Every part of the sealed archive was read; headers, manifest.json and manifest-sha256.txt agree. */
  | "sealed archive"
  /** As "sealed archive", and every file's digest was computed again. */
  | "sealed archive, full"
  /** An unpacked bag was read whole and held against its seal. */
  | "sealed bag"
  /** A reference package's source files were read again and held against the seal. */
  | "reference sources"
  /** Every part of the archive in the vault was read and held against the seal, and what lies beside it: seal.json, manifest.json, signatures. */
  | "stored archive"
  /** The store's SHA-256 of the archive was held against the seal, or the object against the one that was recorded; no byte of it was read. */
  | "attested by the store"
  /** The archive was looked up in the vault, and there was nothing but its size to compare; no byte of it was read. */
  | "looked up in the vault";

export interface SignatureCheck {
  /** SHA-256 of the public key (SubjectPublicKeyInfo, DER), lower-case hex. */
  readonly fingerprint: string;
  readonly state: "valid" | "invalid";
  readonly file: string;
}

/** What the verdict on a package in a vault rests on. */
export interface RemoteProof {
  readonly basis:
    | "every part read"
    | "sha256 kept by the store"
    | "etag of the parts"
    /** The object is the one that was recorded when its bytes were last known. */
    | "recorded version"
    | "size alone"
    | "nothing";
  /** Sentences for a person; times in them are UTC. */
  readonly proven: readonly string[];
  readonly notProven: readonly string[];
}

export interface VerificationReport {
  /** What was verified, as the user named it. */
  readonly target: string;
  /** `not verified`: something could not be read, and nothing that was read is wrong. */
  readonly verdict: "valid" | "not valid" | "not verified" | "attested";
  readonly method: VerificationMethod;
  readonly packageId?: string;
  /** SHA-256 of seal.json's bytes, when there is a seal. */
  readonly packageDigest?: string;
  readonly sealed: boolean;
  /** BagIt version declared, when a bag was read. */
  readonly bagitVersion?: string;
  readonly counts: {
    readonly files: number;
    readonly bytes: number;
    readonly parts?: number;
    readonly errors: number;
    readonly warnings: number;
  };
  readonly findings: readonly Finding[];
  /** Of a package in a vault of which no byte was read, none: they were not looked at. */
  readonly signatures: readonly SignatureCheck[];
  /** Of a package in a vault. */
  readonly proof?: RemoteProof;
  /** RFC 3339, UTC. */
  readonly started: string;
  readonly finished: string;
}
