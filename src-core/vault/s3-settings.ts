import type { StoreSettings } from "../../src-contract/vault-api.ts";

/** Where an S3 vault is and how objects are stored in it; kept in the ledger. Holds no secret. */
export interface S3Settings extends StoreSettings {
  /** The vault's name on this device, for the next step that a failure names. */
  readonly name?: string;
}

/** How long a request may go without any byte moving before it is given up, in milliseconds. */
export interface S3Limits {
  /** Until the connection stands. */
  readonly connectMs: number;
  /** In the middle of a body, either way, and until the answer to a request without one. Time that our own disk or a bandwidth limit takes is not counted. */
  readonly stallMs: number;
  /** Between the last byte of a body and the first of its answer: what the system has buffered may still be on its way. */
  readonly answerMs: number;
  /** As `answerMs`, for completing an upload, which takes minutes where the object is large (Amazon S3 API, CompleteMultipartUpload). */
  readonly completeMs: number;
}

export const S3_LIMITS: S3Limits = {
  connectMs: 15_000,
  stallMs: 30_000,
  answerMs: 60_000,
  completeMs: 600_000,
};

/** Amazon S3 User Guide, "Amazon S3 multipart upload limits"; radosgw takes more parts and would so make objects that cannot be moved. */
export const MAX_PARTS = 10_000;
export const MIN_PART_BYTES = 5 * 1024 ** 2;
export const MAX_PART_BYTES = 5 * 1024 ** 3;

/** Whether a store can have meant this as the size of an object or part. */
export function isSize(told: number): boolean {
  return Number.isSafeInteger(told) && told >= 0;
}

/** For a person: `s3://bucket/prefix`, with the endpoint where it is not Amazon's. */
export function s3Location({ bucket, prefix, endpoint }: S3Settings): string {
  const place = `s3://${bucket}${prefix === null ? "" : `/${prefix}`}`;
  return endpoint === null ? place : `${place} at ${endpoint}`;
}
