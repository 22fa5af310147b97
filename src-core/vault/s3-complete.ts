import { asFailure, type FailureError, fail } from "../failing.ts";
import type { ObjectInfo, StoredPart, UploadRef, Vault } from "../ports.ts";
import { conflict } from "./conflict.ts";
import type { S3Capabilities } from "./s3-capabilities.ts";
import type { StoreClient } from "./s3-client.ts";
import { createOnly } from "./s3-create-only.ts";
import { StoreRefusal } from "./s3-failures.ts";
import { bucketKey } from "./s3-keys.ts";
import { unreachable } from "./s3-network.ts";
import { s3Location } from "./s3-settings.ts";
import { isOfParts, parseTag, quotedEtag } from "./s3-tags.ts";
import { partLength } from "./s3-upload.ts";

/** Definite answers: what is wrong with the request or its sender, not what became of the upload. */
const DEFINITE = new Set([
  "CREDENTIALS_REFUSED",
  "CREDENTIALS_MISSING",
  "PERMISSION_MISSING",
  "CLOCK_SKEWED",
  "BUCKET_NOT_FOUND",
  "CANCELLED",
]);
/** The store lacks a part that it was believed to have. */
const OTHER_PARTS = new Set(["InvalidPart", "InvalidPartOrder"]);

/** Completing an upload. No answer but a fresh look at the object is believed. */
export function s3Completes(
  client: StoreClient,
  can: S3Capabilities,
  vault: Pick<Vault, "head" | "listParts" | "abortUpload">,
): Pick<Vault, "completeUpload"> {
  const { settings } = client;
  const where = s3Location(settings);

  const completeUpload: Vault["completeUpload"] = async (upload, parts, signal) => {
    const plan = wholePlan(upload, parts);
    const Key = bucketKey(settings, upload.key);
    if (can.createOnlyMultipart !== "honoured") {
      const there = await vault.head(upload.key, signal);
      if (there !== null) return await takenBy(there, upload, plan);
    }
    try {
      await createOnly(can.createOnlyMultipart, (condition) =>
        client.send({
          operation: "CompleteMultipartUpload",
          key: upload.key,
          signal,
          answerMs: client.limits.completeMs,
          command: (sdk) =>
            new sdk.CompleteMultipartUploadCommand({
              Bucket: settings.bucket,
              Key,
              UploadId: upload.uploadId,
              ...condition,
              MultipartUpload: { Parts: plan.map(completedPart) },
            }),
        }),
      );
    } catch (error) {
      return await afterUnknown(asFailure(error), upload, plan, signal);
    }
    const stored = await vault.head(upload.key, signal);
    if (stored !== null && isTheirs(stored, upload, plan) !== false) return stored;
    throw changed(upload, "it was replaced or removed right after it was completed");
  };

  /** True or false where size and ETag tell; null where ETags prove nothing. */
  function isTheirs(there: ObjectInfo, upload: UploadRef, parts: readonly StoredPart[]): boolean | null {
    if (there.size !== upload.size) return false;
    return can.etag ? isOfParts(there, parts) : null;
  }

  /** The key held an object already: of these very parts when an earlier answer was lost, or when another device was faster. */
  async function takenBy(
    there: ObjectInfo,
    upload: UploadRef,
    parts: readonly StoredPart[],
  ): Promise<ObjectInfo> {
    const theirs = isTheirs(there, upload, parts);
    if (theirs === null) {
      // Where its bytes are not known: an upload that is still there did not make it.
      await vault.listParts(upload);
      throw conflict(upload.key);
    }
    if (!theirs) throw conflict(upload.key);
    await vault.abortUpload(upload);
    return there;
  }

  async function afterUnknown(
    error: FailureError,
    upload: UploadRef,
    parts: readonly StoredPart[],
    signal: Parameters<Vault["head"]>[1],
  ): Promise<ObjectInfo> {
    if (DEFINITE.has(error.failure.code)) throw error;
    const there = await vault.head(upload.key, signal);
    if (there !== null) return await takenBy(there, upload, parts);
    if (error instanceof StoreRefusal && OTHER_PARTS.has(error.storeCode)) {
      throw changed(upload, "the store has not all of its parts");
    }
    if (error.failure.code === "STORE_REFUSED" && !isOpen(error)) throw error;
    await vault.listParts(upload, signal);
    if (error.failure.code === "VAULT_UNREACHABLE") throw error;
    throw unreachable(where, "busy", `the upload of ${upload.key} could not be completed now`);
  }

  function changed(upload: UploadRef, why: string): FailureError {
    return fail(
      "OBJECT_CHANGED",
      `What became of the upload of ${upload.key} is open: ${why}.`,
      "Run the same command again: the vault is looked at first.",
      {
        subject: upload.key,
      },
    );
  }

  function wholePlan(upload: UploadRef, parts: readonly StoredPart[]): readonly StoredPart[] {
    const plan = [...parts].sort((one, other) => one.number - other.number);
    const whole = plan.every(
      ({ number, size }, index) => number === index + 1 && size === partLength(upload, number),
    );
    // S3 leaves out what is not named, without a word.
    if (whole && plan.reduce((sum, { size }) => sum + size, 0) === upload.size) return plan;
    throw changed(upload, `${plan.length} of its parts were sent`);
  }

  return { completeUpload };
}

/** Refusals by something that was or is under the key, or by an upload that is or is not there: looking decides. */
function isOpen(error: FailureError): boolean {
  return error instanceof StoreRefusal && [404, 409, 412].includes(error.status);
}

function completedPart({ number, tag }: StoredPart) {
  const { etag, sha256 } = parseTag(tag);
  return {
    PartNumber: number,
    ETag: quotedEtag(etag),
    ...(sha256 === undefined ? {} : { ChecksumSHA256: sha256 }),
  };
}
