import { createHash } from "node:crypto";
import type { Metadata, ObjectInfo, Vault } from "../ports.ts";
import { confirmedDigest } from "../transfer/confirmed-digest.ts";
import { conflict } from "./conflict.ts";
import { refusedBytes } from "./folder-upload.ts";
import type { S3Capabilities } from "./s3-capabilities.ts";
import type { StoreClient } from "./s3-client.ts";
import { createOnly } from "./s3-create-only.ts";
import { StoreRefusal } from "./s3-failures.ts";
import { bucketKey } from "./s3-keys.ts";
import { oddAnswer, unreachable } from "./s3-network.ts";
import { type S3Settings, s3Location } from "./s3-settings.ts";
import { bareEtag } from "./s3-tags.ts";

/** What the store says of a body whose bytes are not those of its digest. */
export const OTHER_BYTES = new Set(["XAmzContentSHA256Mismatch", "BadDigest", "InvalidDigest"]);

interface HowStored {
  readonly metadata?: Metadata;
  readonly contentType?: string;
  readonly evidence?: boolean;
}

/** How an object of the vault is stored. The storage class is that of evidence; all else is small and read often. */
export function storedAs(
  { storageClass, encryption, kmsKey }: S3Settings,
  { metadata, contentType, evidence }: HowStored = {},
) {
  return {
    ...(storageClass === null || evidence !== true ? {} : { StorageClass: storageClass as "STANDARD" }),
    ...(encryption === "none" ? {} : { ServerSideEncryption: encryption }),
    ...(encryption !== "aws:kms" || kmsKey === null ? {} : { SSEKMSKeyId: kmsKey }),
    ...(contentType === undefined ? {} : { ContentType: contentType }),
    ...(metadata === undefined ? {} : { Metadata: { ...metadata } }),
  };
}

function sha256Hex(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Writing of small objects, and deleting. */
export function s3Writes(
  client: StoreClient,
  can: S3Capabilities,
  { head, getRange }: Pick<Vault, "head" | "getRange">,
): Pick<Vault, "put" | "delete"> {
  const { settings } = client;
  const where = s3Location(settings);

  const put: Vault["put"] = async (key, bytes, options = {}) => {
    const { signal, pace } = options;
    const sha256 = sha256Hex(bytes);
    if (options.sha256 !== undefined && options.sha256 !== sha256) {
      throw refusedBytes(key, { expected: options.sha256, actual: sha256 });
    }
    const Key = bucketKey(settings, key);
    if (can.createOnly !== "honoured") {
      const there = await head(key, signal);
      if (there !== null) return await sameOrConflict(there, bytes, signal);
    }
    try {
      const md5 = async () => createHash("md5").update(bytes).digest("base64");
      const send = (more: object) =>
        client.send({
          operation: "PutObject",
          key,
          signal,
          pace,
          headers: { "x-amz-content-sha256": sha256 },
          command: (sdk) =>
            new sdk.PutObjectCommand({
              Bucket: settings.bucket,
              Key,
              Body: bytes,
              ContentLength: bytes.length,
              ...more,
              ...(can.checksums ? { ChecksumSHA256: Buffer.from(sha256, "hex").toString("base64") } : {}),
              ...storedAs(settings, options),
            }),
        });
      const output = await createOnly(can.createOnly, (condition) =>
        client.withMd5(md5, (more) => send({ ...condition, ...more })),
      );
      if (output.ETag === undefined) throw oddAnswer(where, "an object was taken without an ETag");
      return {
        key,
        size: bytes.length,
        version: bareEtag(output.ETag),
        ...(output.VersionId === undefined ? {} : { versionId: output.VersionId }),
      };
    } catch (error) {
      if (!(error instanceof StoreRefusal)) throw error;
      // Its digest was computed from these very bytes.
      if (OTHER_BYTES.has(error.storeCode))
        throw unreachable(where, "damaged on the way", `${key} was damaged on its way; it was not stored`);
      if (error.status !== 412 && error.status !== 409) throw error;
      const there = await head(key, signal);
      if (there !== null) return await sameOrConflict(there, bytes, signal);
      throw unreachable(where, "busy", `another write of ${key} was under way`);
    }
  };

  /** What comes with other bytes is read again, since a connection may damage it: nothing is called another object by one look. */
  async function sameOrConflict(
    there: ObjectInfo,
    bytes: Uint8Array,
    signal: Parameters<Vault["head"]>[1],
  ): Promise<ObjectInfo> {
    if (there.size !== bytes.length) throw conflict(there.key);
    const held = new Uint8Array(bytes.length);
    const read = async () => {
      await getRange(there, 0, held, signal);
      return sha256Hex(held);
    };
    const ours = sha256Hex(bytes);
    if ((await confirmedDigest(read, ours)) !== ours) throw conflict(there.key);
    const { key, size, version, versionId } = there;
    return { key, size, version, ...(versionId === undefined ? {} : { versionId }) };
  }

  return {
    put,

    async delete(key) {
      const Key = bucketKey(settings, key);
      await client.send({
        operation: "DeleteObject",
        key,
        command: (sdk) => new sdk.DeleteObjectCommand({ Bucket: settings.bucket, Key }),
      });
    },
  };
}
