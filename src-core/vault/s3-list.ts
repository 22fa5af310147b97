import type { FoundUpload, ObjectInfo, Vault } from "../ports.ts";
import type { StoreClient } from "./s3-client.ts";
import { ownKey, rootOf } from "./s3-keys.ts";
import { oddAnswer } from "./s3-network.ts";
import { isSize, s3Location } from "./s3-settings.ts";
import { bareEtag } from "./s3-tags.ts";

/** What is stored, and what is on its way: all pages, or a failure; a page that cannot be followed is never taken for the last. */
export function s3Lists(client: StoreClient): Pick<Vault, "list" | "listUploads"> {
  const { settings } = client;
  const where = s3Location(settings);

  /** Every listing of S3 says whether it is cut off; what does not, such as a login page, is none. */
  function requireListing(page: { readonly IsTruncated?: boolean | undefined }): void {
    if (page.IsTruncated === undefined) throw oddAnswer(where, "no listing");
  }

  /** Where the next page begins; throws for a page that was read before. */
  function followed(next: string | undefined, before: Set<string>): string {
    if (next === undefined || next === "" || before.has(next))
      throw oddAnswer(where, "a listing goes on without saying where");
    before.add(next);
    return next;
  }

  return {
    async *list(prefix, signal): AsyncGenerator<ObjectInfo> {
      const Prefix = rootOf(settings) + prefix;
      const before = new Set<string>();
      for (let token: string | undefined; ; ) {
        const page = await client.send({
          operation: "ListObjectsV2",
          signal,
          command: (sdk) =>
            new sdk.ListObjectsV2Command({
              Bucket: settings.bucket,
              Prefix,
              EncodingType: "url",
              ...(token === undefined ? {} : { ContinuationToken: token }),
            }),
        });
        requireListing(page);
        for (const { Key, Size, ETag, LastModified } of page.Contents ?? []) {
          if (Key === undefined || Size === undefined || ETag === undefined) {
            throw oddAnswer(where, "a listing with an object without key, size or ETag");
          }
          if (!isSize(Size)) throw oddAnswer(where, `an object of ${Size} bytes`);
          const key = ownKey(settings, Key, page.EncodingType === "url");
          if (key?.startsWith(prefix) !== true) continue;
          const modified = LastModified === undefined ? {} : { modified: LastModified.getTime() };
          yield { key, size: Size, version: bareEtag(ETag), ...modified };
        }
        if (page.IsTruncated === false) return;
        token = followed(page.NextContinuationToken, before);
      }
    },

    async *listUploads(prefix): AsyncGenerator<FoundUpload> {
      const Prefix = rootOf(settings) + prefix;
      const before = new Set<string>();
      for (let marker: { KeyMarker: string; UploadIdMarker: string } | undefined; ; ) {
        const page = await client.send({
          operation: "ListMultipartUploads",
          command: (sdk) =>
            new sdk.ListMultipartUploadsCommand({
              Bucket: settings.bucket,
              Prefix,
              EncodingType: "url",
              ...marker,
            }),
        });
        requireListing(page);
        const encoded = page.EncodingType === "url";
        for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
          if (Key === undefined || UploadId === undefined)
            throw oddAnswer(where, "an upload without key or id");
          const key = ownKey(settings, Key, encoded);
          if (key?.startsWith(prefix) !== true) continue;
          yield { key, uploadId: UploadId, begun: Initiated?.getTime() ?? null };
        }
        if (page.IsTruncated === false) return;
        const next = rootOf(settings) + (ownKey(settings, page.NextKeyMarker ?? "", encoded) ?? "");
        const id = page.NextUploadIdMarker ?? "";
        followed(`${next} ${id}`, before);
        marker = { KeyMarker: next, UploadIdMarker: id };
      }
    },
  };
}
