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

/** What is known of a stored object without reading it. */
export interface ObjectInfo {
  readonly key: string;
  readonly size: number;
  /** Changes whenever the object's bytes may have: an ETag or version id; for a folder, inode, size and times. */
  readonly version: string;
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
 */
export interface Vault {
  readonly kind: "folder";
  /** For a person: a path or bucket, never a secret. */
  readonly location: string;
  /**
   * Stores a small object whole, or not at all; durable when it returns.
   * Throws OBJECT_CONFLICT when the key holds other bytes; the same bytes again are a success.
   */
  put(key: string, bytes: Uint8Array, signal?: CancelSignal): Promise<ObjectInfo>;
  /** Begins a multi-part upload; nothing is visible under `key` until it is completed. */
  beginUpload(key: string, size: number, partSize: number): Promise<UploadRef>;
  /** Sends one part; durable when it returns. Sending a part again replaces it. */
  putPart(
    upload: UploadRef,
    part: PartBody,
    options?: { readonly signal?: CancelSignal; readonly onBytes?: (bytes: number) => void },
  ): Promise<StoredPart>;
  /** The parts that the store really has, from their bytes or its own records; OBJECT_CHANGED when it knows no such upload. */
  listParts(upload: UploadRef): Promise<readonly StoredPart[]>;
  /** Makes the object visible under its key, whole. Throws OBJECT_CONFLICT when the key is taken. */
  completeUpload(upload: UploadRef, parts: readonly StoredPart[]): Promise<ObjectInfo>;
  /** Drops an upload and its parts; one that is gone already is a success. */
  abortUpload(upload: UploadRef): Promise<void>;
  /** Uploads begun under a prefix and neither completed nor aborted. */
  listUploads(prefix: string): AsyncIterable<{ readonly key: string; readonly uploadId: string }>;
  /** Fills `target` from `offset` of that very version of the object; OBJECT_CHANGED when it was replaced or removed. */
  getRange(object: ObjectInfo, offset: number, target: Uint8Array, signal?: CancelSignal): Promise<void>;
  /** Null when nothing is stored under the key. */
  head(key: string): Promise<ObjectInfo | null>;
  /** All objects whose key begins with `prefix`, in bytewise order of key; uploads under way are not among them. */
  list(prefix: string): AsyncIterable<ObjectInfo>;
  delete(key: string): Promise<void>;
  /** Probes what the place can do, without leaving anything behind. */
  health(): Promise<VaultHealth>;
}
