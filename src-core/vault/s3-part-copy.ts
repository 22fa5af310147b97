import type { CancelSignal } from "../../src-contract/progress.ts";
import type { ObjectInfo, StoredPart, UploadRef } from "../ports.ts";
import type { PartRange } from "../transfer/part-lanes.ts";
import type { S3Capabilities } from "./s3-capabilities.ts";
import type { StoreClient } from "./s3-client.ts";
import { StoreRefusal } from "./s3-failures.ts";
import { bucketKey } from "./s3-keys.ts";
import { oddAnswer } from "./s3-network.ts";
import { s3Location } from "./s3-settings.ts";
import { parseTag, quotedEtag, tagOf } from "./s3-tags.ts";

type CopyPart = (part: PartRange, tag: string, signal: CancelSignal | undefined) => Promise<StoredPart>;

/**
 * Copies ranges of an object as the parts of an upload, within the store. `tag` is what the store said of the same bytes when it took them: a copy
 * with another ETag is refused where ETags tell.
 */
export function partCopier(
  { client, can }: { readonly client: StoreClient; readonly can: S3Capabilities },
  source: ObjectInfo,
  { key, uploadId }: UploadRef,
): CopyPart {
  const { bucket } = client.settings;
  const path = bucketKey(client.settings, source.key).split("/").map(encodeURIComponent).join("/");
  const where = s3Location(client.settings);
  /** Amazon asks for another permission as soon as a version is named; without it the ETag alone holds the version. */
  let { versionId } = source;

  async function copied(
    { number, offset, size }: PartRange,
    version: string | undefined,
    signal: CancelSignal | undefined,
  ) {
    return await client.send({
      operation: "UploadPartCopy",
      key,
      signal,
      answerMs: client.limits.completeMs,
      command: (sdk) =>
        new sdk.UploadPartCopyCommand({
          Bucket: bucket,
          Key: bucketKey(client.settings, key),
          UploadId: uploadId,
          PartNumber: number,
          CopySource: `${bucket}/${path}${version === undefined ? "" : `?versionId=${version}`}`,
          CopySourceRange: `bytes=${offset}-${offset + size - 1}`,
          CopySourceIfMatch: quotedEtag(source.version),
        }),
    });
  }

  async function allowed(part: PartRange, signal: CancelSignal | undefined) {
    const version = versionId;
    try {
      return await copied(part, version, signal);
    } catch (error) {
      const refused = error instanceof StoreRefusal && error.failure.code === "PERMISSION_MISSING";
      if (!refused || version === undefined) throw error;
      versionId = undefined;
      return await copied(part, undefined, signal);
    }
  }

  return async (part, before, signal) => {
    const { CopyPartResult } = await allowed(part, signal);
    if (CopyPartResult?.ETag === undefined) throw oddAnswer(where, "a part was copied without an ETag");
    const tag = tagOf(CopyPartResult);
    if (can.etag && parseTag(tag).etag !== parseTag(before).etag)
      throw oddAnswer(where, `part ${part.number} of ${key} was copied with other bytes`);
    return { number: part.number, size: part.size, tag };
  };
}
