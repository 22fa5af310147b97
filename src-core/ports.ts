import type { Failure } from "../src-contract/failure.ts";
import type { CancelSignal } from "../src-contract/progress.ts";
import type { VaultHealth } from "../src-contract/vault-api.ts";

/** Where the time comes from; tests bring their own. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
}

/** Where identity comes from; tests bring their own. */
export type NewId = () => string;

/** Bytes that can be read in any range: a file, a virtual tar, a stored object. */
export interface RangeSource {
  /** Bytes. */
  readonly size: number;
  /** Fills `target` from `offset` on. Throws when fewer bytes are there: never a short read. */
  read(offset: number, target: Uint8Array, signal?: CancelSignal): Promise<void>;
  close(): Promise<void>;
}

/** Small facts that are kept beside an object's bytes; names are lower-case letters, digits and dashes. A folder keeps `sha256` alone. */
export type Metadata = Readonly<Record<string, string>>;

/** What is known of a stored object without reading it. */
export interface ObjectInfo {
  readonly key: string;
  readonly size: number;
  /** Changes whenever the object's bytes may have: an ETag without its quotes; for a folder, inode, size and times. */
  readonly version: string;
  /** The store's id of this version, in a bucket that keeps versions; a range is then read of it. */
  readonly versionId?: string;
  /** The checksum that the store computed and keeps, as it answers it: base64, for a multi-part object `<base64>-<parts>`. Only after `head`. */
  readonly sha256?: string;
  /** Only after `head`. */
  readonly metadata?: Metadata;
  /** Since when its bytes are there, milliseconds since the epoch; absent where the store does not tell. */
  readonly modified?: number;
}

/** Awaited with their number before bytes of a body go out, so that a limit can hold them back. */
export type Pace = (bytes: number) => Promise<void>;

/** An upload that a listing found. */
export interface FoundUpload {
  readonly key: string;
  readonly uploadId: string;
  /** Milliseconds since the epoch; null where the store does not tell. */
  readonly begun: number | null;
  /** What it takes up; absent where only its parts tell. */
  readonly bytes?: number;
}

/** What the bytes of a stored object should be. */
export interface ExpectedBytes {
  readonly partSize: number;
  /** SHA-256 hex of each part, in order. */
  readonly digests: readonly string[];
  /**
   * What the store said of each part when it took the part's bytes against their SHA-256 (`StoredPart.tag`), in order; null when this device
   * has not sent them all.
   */
  readonly tags: readonly string[] | null;
}

/** What the store says of an object's bytes, held against what they should be, without reading them. */
export interface Attestation {
  /** How, for a person and for `stored/...json`: `sha256 kept by the store`, `etag of the parts`. */
  readonly method: Exclude<EndCheckMethod, "read back">;
  readonly matches: boolean;
  readonly expected: string;
  readonly actual: string;
}

/** How it was found out that stored bytes are the sealed ones. */
export type EndCheckMethod = "sha256 kept by the store" | "etag of the parts" | "read back";

/** What became of a stream that was stored. */
export interface StreamedObject {
  readonly info: ObjectInfo;
  /** SHA-256 hex of the stream's bytes. */
  readonly sha256: string;
  readonly bytes: number;
  /** These very bytes were there before. */
  readonly already: boolean;
  /** What could not be cleared away behind it. */
  readonly leftUndone: readonly Failure[];
}

/** An upload that was begun and not completed; plain data, kept in the journal. */
export interface UploadRef {
  readonly key: string;
  readonly uploadId: string;
  readonly size: number;
  readonly partSize: number;
}

export interface StoredPart {
  /** From 1, as S3 counts. */
  readonly number: number;
  readonly size: number;
  /** What the store says of the part's bytes (an ETag); compared with the journal, never parsed. */
  readonly tag: string;
}

export interface PartBody {
  readonly number: number;
  readonly source: RangeSource;
  readonly offset: number;
  readonly size: number;
  /** SHA-256 hex that the bytes must have, when it is sealed; the vault refuses others with DIGEST_MISMATCH. */
  readonly sha256: string | null;
}

/**
 * A place where packages are kept. Keys use `/` and hold no `.` or `..` segment.
 * Everything is create-only: nothing that is stored is ever rewritten. All failures are FailureError.
 * A call is tried once: trying again is the engine's (transfer/retry.ts).
 */
export interface Vault {
  readonly kind: "folder" | "s3";
  /** For a person: a path or bucket, never a secret. */
  readonly location: string;
  /** Parts that are worth moving at once: to begin with, and at most. */
  readonly lanes: { readonly first: number; readonly most: number };
  /**
   * Stores a small object whole, or not at all; durable when it returns.
   * Throws OBJECT_CONFLICT when the key holds other bytes; the same bytes again are a success.
   * With `sha256` (hex) bytes that have another digest are refused with DIGEST_MISMATCH.
   */
  put(
    key: string,
    bytes: Uint8Array,
    options?: {
      readonly signal?: CancelSignal | undefined;
      readonly sha256?: string;
      readonly metadata?: Metadata;
      /** Media type that the store keeps; a folder keeps none. */
      readonly contentType?: string;
      /** An archive or an artifact: stored in the storage class that the vault asks for, all else in the store's own. A folder has no classes. */
      readonly evidence?: boolean;
      readonly pace?: Pace | undefined;
    },
  ): Promise<ObjectInfo>;
  /** Tells the SHA-256 of an object with which none is kept, by whoever has read its bytes. Absent where metadata comes with the bytes only. */
  tellDigest?(key: string, sha256: string): Promise<void>;
  /**
   * Stores a stream of any length, whole or not at all, with its SHA-256 as the metadata `sha256`. It cannot be resumed. `again` tries a request
   * again where the vault itself can repeat it. Throws as `put`, and what the stream throws.
   */
  putStream(
    key: string,
    stream: AsyncIterable<Uint8Array>,
    options?: {
      readonly signal?: CancelSignal | undefined;
      readonly contentType?: string;
      readonly again?: <T>(work: () => Promise<T>) => Promise<T>;
    },
  ): Promise<StreamedObject>;
  /** Begins a multi-part upload; nothing is visible under `key` until it is completed. */
  beginUpload(
    key: string,
    size: number,
    partSize: number,
    options?: {
      readonly signal?: CancelSignal | undefined;
      readonly metadata?: Metadata;
      readonly contentType?: string;
      readonly evidence?: boolean;
    },
  ): Promise<UploadRef>;
  /** Sends one part; durable when it returns. Sending a part again replaces it. Memory does not grow with the part's size. */
  putPart(
    upload: UploadRef,
    part: PartBody,
    options?: {
      readonly signal?: CancelSignal | undefined;
      readonly onBytes?: (bytes: number) => void;
      readonly pace?: Pace | undefined;
    },
  ): Promise<StoredPart>;
  /** The parts that the store really has, from their bytes or its own records; OBJECT_CHANGED when it knows no such upload. */
  listParts(upload: UploadRef, signal?: CancelSignal): Promise<readonly StoredPart[]>;
  /**
   * Makes the object visible under its key, whole. Throws OBJECT_CONFLICT when the key is taken, and OBJECT_CHANGED when the upload is gone or the
   * answer leaves open what became of it: then the key tells (`head`).
   */
  completeUpload(upload: UploadRef, parts: readonly StoredPart[], signal?: CancelSignal): Promise<ObjectInfo>;
  /** Drops an upload and its parts; one that is gone already is a success. */
  abortUpload(upload: Pick<UploadRef, "key" | "uploadId">): Promise<void>;
  /** Uploads begun under a prefix and neither completed nor aborted. */
  listUploads(prefix: string): AsyncIterable<FoundUpload>;
  /** Fills `target` from `offset` of that very version of the object; OBJECT_CHANGED when it was replaced or removed. */
  getRange(object: ObjectInfo, offset: number, target: Uint8Array, signal?: CancelSignal): Promise<void>;
  /**
   * Streams `size` bytes from `offset` of that very version of the object, in one request where there are requests. `consume` gets them in order, one
   * call at a time, with their place counted from 0; the bytes are its own until it settles. Throws OBJECT_CHANGED as `getRange`, and
   * VAULT_UNREACHABLE when fewer bytes arrive.
   */
  readRange(
    object: ObjectInfo,
    offset: number,
    size: number,
    consume: (at: number, bytes: Uint8Array) => Promise<void>,
    signal?: CancelSignal,
  ): Promise<void>;
  /** What the store itself says of an object's bytes (`object` from `head`); null when it keeps nothing that proves them. No request is made. */
  attest(object: ObjectInfo, expected: ExpectedBytes): Attestation | null;
  /** Null when nothing is stored under the key. */
  head(key: string, signal?: CancelSignal): Promise<ObjectInfo | null>;
  /** All objects whose key begins with `prefix`, in bytewise order of key; uploads under way are not among them. */
  list(prefix: string, signal?: CancelSignal): AsyncIterable<ObjectInfo>;
  delete(key: string): Promise<void>;
  /** Throws VAULT_UNFIT, VAULT_UNREACHABLE or DISK_FULL when an archive of `size` bytes, of which `toSend` are missing, cannot be stored here. */
  requireRoom(size: number, toSend: number): Promise<void>;
  /** Probes what the place can do, without leaving anything behind. */
  health(): Promise<VaultHealth>;
}
