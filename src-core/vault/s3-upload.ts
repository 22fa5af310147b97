import { createHash } from "node:crypto";
import type { CancelSignal } from "../../src-contract/progress.ts";
import { asFailure, FailureError, fail } from "../failing.ts";
import type { PartBody, StoredPart, UploadRef, Vault } from "../ports.ts";
import { refusedBytes } from "./folder-upload.ts";
import { digestRange, pumpRange } from "./pump-range.ts";
import { startDigest } from "./running-digest.ts";
import type { S3Capabilities } from "./s3-capabilities.ts";
import type { StoreClient } from "./s3-client.ts";
import { StoreRefusal } from "./s3-failures.ts";
import type { Send } from "./s3-http-carrier.ts";
import { bucketKey } from "./s3-keys.ts";
import { oddAnswer, unreachable } from "./s3-network.ts";
import { isSize, MAX_PART_BYTES, MAX_PARTS, MIN_PART_BYTES, s3Location } from "./s3-settings.ts";
import { tagOf } from "./s3-tags.ts";
import { OTHER_BYTES, storedAs } from "./s3-write.ts";

type Uploads = Pick<Vault, "beginUpload" | "putPart" | "listParts" | "abortUpload">;

/** Multi-part uploads up to their completion (s3-complete.ts). */
export function s3Uploads(client: StoreClient, can: S3Capabilities): Uploads {
  const { settings } = client;
  const where = s3Location(settings);
  const target = (upload: Pick<UploadRef, "key" | "uploadId">) => ({
    Bucket: settings.bucket,
    Key: bucketKey(settings, upload.key),
    UploadId: upload.uploadId,
  });

  const beginUpload: Vault["beginUpload"] = async (key, size, partSize, options = {}) => {
    requirePlan(where, key, size, partSize);
    const Key = bucketKey(settings, key);
    const output = await client.send({
      operation: "CreateMultipartUpload",
      key,
      signal: options.signal,
      command: (sdk) =>
        new sdk.CreateMultipartUploadCommand({
          Bucket: settings.bucket,
          Key,
          ...(can.checksums ? { ChecksumAlgorithm: "SHA256", ChecksumType: "COMPOSITE" } : {}),
          ...storedAs(settings, options),
        }),
    });
    if (output.UploadId === undefined || output.UploadId === "")
      throw oddAnswer(where, "an upload without an id");
    return { key, uploadId: output.UploadId, size, partSize };
  };

  const putPart: Vault["putPart"] = async (upload, part, options = {}) => {
    const { signal, onBytes, pace } = options;
    if (part.size < 1 || part.size !== partLength(upload, part.number)) {
      throw fail(
        "INVALID_INPUT",
        `Part ${part.number} of ${upload.key} has a size that is not in its plan.`,
        "Report this as a fault of the program.",
        { subject: upload.key },
      );
    }
    const sha256 = part.sha256 ?? (await digestOf(part, signal));
    const verified = can.digestOnWrite || part.sha256 === null;
    try {
      const output = await client.withMd5(
        () => md5Of(part, signal),
        (more) =>
          client.send({
            operation: "UploadPart",
            key: upload.key,
            signal,
            onBytes,
            pace,
            headers: { "x-amz-content-sha256": sha256 },
            body: (send) =>
              verified ? sendPart(part, send, signal) : sendVerified(upload, part, sha256, send, signal),
            command: (sdk) =>
              new sdk.UploadPartCommand({
                ...target(upload),
                PartNumber: part.number,
                ContentLength: part.size,
                ...more,
                ...(can.checksums ? { ChecksumSHA256: Buffer.from(sha256, "hex").toString("base64") } : {}),
              }),
          }),
      );
      if (output.ETag === undefined) throw oddAnswer(where, "a part was taken without an ETag");
      return { number: part.number, size: part.size, tag: tagOf(output) };
    } catch (error) {
      if (wasCut(error)) await hearAgain(upload, signal);
      if (!(error instanceof StoreRefusal)) throw error;
      if (isGone(error)) throw uploadGone(where, upload.key);
      if (!OTHER_BYTES.has(error.storeCode)) throw error;
      // Reading the source again to tell whose fault it is would leave time for further parts to begin: whoever sends them holds them back first.
      if (part.sha256 !== null) throw refusedBytes(upload.key, { part: part.number, expected: sha256 });
      throw unreachable(
        where,
        "damaged on the way",
        `part ${part.number} of ${upload.key} was damaged on its way; it was not stored`,
      );
    }
  };

  /**
   * A store that refuses in the middle of a body may cut the connection before its reason is read: a small request has it told again. Returns when
   * there is no such reason, as far as the store tells. Throws OBJECT_CHANGED when the upload is gone.
   */
  async function hearAgain(
    upload: Pick<UploadRef, "key" | "uploadId">,
    signal?: CancelSignal | undefined,
  ): Promise<"there" | "not told"> {
    try {
      await client.send({
        operation: "ListParts",
        key: upload.key,
        signal,
        command: (sdk) => new sdk.ListPartsCommand({ ...target(upload), MaxParts: 1 }),
      });
      return "there";
    } catch (error) {
      if (!(error instanceof StoreRefusal)) throw error;
      if (isGone(error)) throw uploadGone(where, upload.key);
      // The right to list parts is another one than to send them.
      if (error.failure.code !== "PERMISSION_MISSING") throw error;
      return "not told";
    }
  }

  const listParts: Vault["listParts"] = async (upload, signal) => {
    const parts: StoredPart[] = [];
    const before = new Set<string>();
    try {
      for (let marker: string | undefined; ; ) {
        const page = await client.send({
          operation: "ListParts",
          key: upload.key,
          signal,
          command: (sdk) =>
            new sdk.ListPartsCommand({
              ...target(upload),
              ...(marker === undefined ? {} : { PartNumberMarker: marker }),
            }),
        });
        if (page.IsTruncated === undefined) throw oddAnswer(where, "no listing of parts");
        for (const found of page.Parts ?? []) {
          if (found.PartNumber === undefined || found.Size === undefined || found.ETag === undefined) {
            throw oddAnswer(where, "a part without number, size or ETag");
          }
          const after = parts.at(-1)?.number ?? 0;
          if (!(found.PartNumber > after && found.PartNumber <= MAX_PARTS && isSize(found.Size)))
            throw oddAnswer(where, `part ${found.PartNumber} of ${found.Size} bytes after part ${after}`);
          parts.push({ number: found.PartNumber, size: found.Size, tag: tagOf(found) });
        }
        if (!page.IsTruncated) return parts;
        const next = `${page.NextPartNumberMarker ?? ""}`;
        if (next === "" || before.has(next))
          throw oddAnswer(where, "a listing of parts goes on without saying where");
        before.add(next);
        marker = next;
      }
    } catch (error) {
      throw error instanceof StoreRefusal && isGone(error) ? uploadGone(where, upload.key) : error;
    }
  };

  return {
    beginUpload,
    putPart,
    listParts,

    /**
     * A part that is just arriving survives an abort (Amazon S3 API, AbortMultipartUpload), so that it is said again until nothing is left; a few times
     * where the store does not tell.
     */
    async abortUpload(upload) {
      for (let said = 0; ; said++) {
        let left: "there" | "not told";
        try {
          await client.send({
            operation: "AbortMultipartUpload",
            key: upload.key,
            command: (sdk) => new sdk.AbortMultipartUploadCommand(target(upload)),
          });
          left = await hearAgain(upload);
        } catch (error) {
          if (
            error instanceof StoreRefusal ? isGone(error) : asFailure(error).failure.code === "OBJECT_CHANGED"
          )
            return;
          throw error;
        }
        if (said < ABORTS) continue;
        if (left === "not told") return;
        throw unreachable(where, "busy", `the upload of ${upload.key} is still there after it was dropped`);
      }
    },
  };
}

const ABORTS = 5;

/** The store knows no such upload: never begun, completed or dropped. radosgw says NoSuchKey. */
export function isGone(refusal: StoreRefusal): boolean {
  return refusal.storeCode === "NoSuchUpload" || refusal.storeCode === "NoSuchKey";
}

function uploadGone(where: string, key: string): FailureError {
  return fail(
    "OBJECT_CHANGED",
    `${where} knows the upload of ${key} no more.`,
    "Run the same command again: it is sent anew.",
    {
      subject: key,
    },
  );
}

function wasCut(error: unknown): boolean {
  return error instanceof FailureError && error.failure.details?.reason === "cut";
}

/** Throws VAULT_UNFIT for a plan that S3 does not take. */
function requirePlan(where: string, key: string, size: number, partSize: number): void {
  const parts = Math.ceil(size / partSize);
  if (
    parts >= 1 &&
    parts <= MAX_PARTS &&
    partSize <= MAX_PART_BYTES &&
    (parts === 1 || partSize >= MIN_PART_BYTES)
  )
    return;
  throw fail(
    "VAULT_UNFIT",
    `${key} has ${size} bytes in parts of ${partSize}; S3 takes 1 to ${MAX_PARTS} parts of ${MIN_PART_BYTES} to ${MAX_PART_BYTES} bytes.`,
    "Seal the evidence as several packages, or choose a vault in a folder.",
    { subject: where, details: { size, partSize, parts } },
  );
}

/** Bytes of a part, from 1 on. */
export function partLength(upload: UploadRef, number: number): number {
  return Math.min(upload.partSize, upload.size - (number - 1) * upload.partSize);
}

/** A fault of the source must not be taken for one of the store. */
function reading(part: PartBody, signal: CancelSignal | undefined) {
  return async (at: number, bytes: Uint8Array) => {
    try {
      await part.source.read(part.offset + at, bytes, signal);
    } catch (error) {
      throw asFailure(error);
    }
  };
}

function digestOf(part: PartBody, signal: CancelSignal | undefined): Promise<string> {
  return digestRange(part.size, reading(part, signal), { signal });
}

async function md5Of(part: PartBody, signal: CancelSignal | undefined): Promise<string> {
  const md5 = createHash("md5");
  await pumpRange(part.size, reading(part, signal), async (_at, bytes) => void md5.update(bytes), signal);
  return md5.digest("base64");
}

function sendPart(part: PartBody, send: Send, signal: CancelSignal | undefined): Promise<void> {
  return pumpRange(part.size, reading(part, signal), (_at, bytes) => send(bytes), signal);
}

/** For a store that does not check the digest: the last chunk leaves only when it is right, so that a request with other bytes never ends. */
async function sendVerified(
  upload: UploadRef,
  part: PartBody,
  expected: string,
  send: Send,
  signal: CancelSignal | undefined,
): Promise<void> {
  const digest = startDigest(part.size);
  let open = true;
  try {
    const consume = async (at: number, bytes: Uint8Array) => {
      await digest.update(bytes);
      if (at + bytes.length === part.size) {
        open = false;
        const actual = await digest.hex();
        if (actual !== expected) throw refusedBytes(upload.key, { part: part.number, expected, actual });
      }
      await send(bytes);
    };
    await pumpRange(part.size, reading(part, signal), consume, signal);
  } finally {
    if (open) await digest.drop();
  }
}
