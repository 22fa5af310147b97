/** The closed list of what can go wrong, each with its meaning. A face decides by code, never by message. */
const FAILURE_CODES = {
  INVALID_INPUT: "an argument or a file has a form that is not accepted",
  PATH_NOT_FOUND: "a path named by the user does not exist",
  PATH_UNREADABLE: "the operating system refused to read a path",
  PATH_NOT_EVIDENCE: "a path is neither a regular file nor a folder (socket, device, pipe, symlink)",
  PATH_EXISTS: "something is already where a result is to be written",
  SOURCE_CHANGED: "a source file changed or vanished while it was read, or since it was sealed",
  PREFLIGHT_BLOCKED: "findings of the preflight report forbid sealing",
  PACKAGE_TOO_LARGE: "the package does not fit into the part plan of format 1",
  DISK_FULL: "no space is left where something had to be written",
  WRITE_REFUSED: "the operating system refused to write (read-only, permission, quota)",
  IO_ERROR: "the operating system reported a fault of a disk or share",
  HOME_UNUSABLE: "the program's state folder cannot be used",
  DATABASE_NEWER: "a database was written by a newer version of this program",
  DATABASE_DAMAGED: "a database cannot be read",
  LEDGER_MISSING: "the state folder holds packages, but not the ledger that tells of them",
  DATABASE_BUSY: "another process holds a database for too long",
  ENGAGEMENT_NOT_FOUND: "no engagement has this id",
  ENGAGEMENT_EXISTS: "an engagement with this id is already there",
  VAULT_NOT_FOUND: "no vault has this name",
  VAULT_EXISTS: "a vault with this name is already there",
  VAULT_MISSING: "the engagement has no vault",
  VAULT_UNREACHABLE: "the vault's folder or store cannot be reached",
  VAULT_UNFIT: "the vault cannot hold this package safely",
  BUCKET_NOT_FOUND: "the store has no such bucket",
  PERMISSION_MISSING: "the store refuses a request; the missing permission is named",
  CLOCK_SKEWED: "this device's clock is too far from the store's",
  STORE_REFUSED: "the store answered in a way that trying again does not mend",
  TRANSFER_NOT_FOUND: "no transfer has this id",
  TRANSFER_PAUSED: "the transfer was paused at the user's request",
  NO_WORKER: "nothing is running that would do the queued work",
  ARTIFACT_NOT_FOUND: "the vault holds no such artifact",
  PACKAGE_NOT_FOUND: "no package has this id",
  PACKAGE_NOT_HELD: "the package's bytes are not on this device",
  PACKAGE_DAMAGED: "a package's folder on this device is not as it was published",
  PACKAGE_NOT_STORED: "the package is not in the vault",
  FILE_NOT_IN_PACKAGE: "the package lists no such file",
  ID_AMBIGUOUS: "a shortened id fits more than one package",
  OBJECT_CONFLICT: "something else is already stored under this key; nothing stored is ever rewritten",
  OBJECT_CHANGED: "a stored object was replaced or removed while it was read",
  SEAL_NOT_FOUND: "no seal.json lies beside the package",
  SEAL_INVALID: "seal.json is not a seal of a format this program knows",
  MANIFEST_INVALID: "manifest.json is not a manifest of a format this program knows",
  ARCHIVE_INVALID: "an archive is damaged or is not of a known kind",
  ARCHIVE_UNSAFE: "an archive holds entries that could harm this machine; nothing was written",
  DIGEST_MISMATCH: "bytes differ from what was sealed",
  NOT_VALID: "verification found the package not valid",
  ATTESTED_ONLY: "the store attests the package; its bytes were not read",
  KEY_UNUSABLE: "a signing key cannot be used",
  KEYCHAIN_UNAVAILABLE: "the system's keychain cannot be used",
  CREDENTIALS_MISSING: "no usable credentials for a vault are there",
  CREDENTIALS_REFUSED: "the store refused the credentials",
  BACKUP_INVALID: "a backup is incomplete or damaged",
  BUSY: "another process of this program is doing the same work",
  CANCELLED: "the user stopped it",
  INTERNAL: "a fault of this program",
} as const;

export type FailureCode = keyof typeof FAILURE_CODES;

/** What went wrong, as plain data that crosses every boundary. */
export interface Failure {
  readonly code: FailureCode;
  /** One or two sentences for a person: what, and where. Never holds a secret. */
  readonly message: string;
  /** What the person can do next, in one sentence. */
  readonly nextStep: string;
  /** The path, key or id it is about, as the user knows it. */
  readonly subject?: string;
  /** Facts for a machine: paths, sizes, digests; plain JSON. */
  readonly details?: Readonly<Record<string, unknown>>;
}

export type Outcome<T> =
  | {
      readonly ok: true;
      readonly value: T;
      /** What the person should know although it was done; absent when there is nothing. */
      readonly warnings?: readonly Failure[];
    }
  | { readonly ok: false; readonly failure: Failure };

/** Proves at compile time that a `switch` handled every case: call it in `default` with the switched value. */
export function assertNever(value: never): never {
  throw new Error(`unhandled case: ${JSON.stringify(value)}`);
}
