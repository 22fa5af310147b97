import { createHash } from "node:crypto";
import type { Attestation, ExpectedBytes, ObjectInfo, StoredPart } from "../ports.ts";
import type { S3Capabilities } from "./s3-capabilities.ts";

/** What a store answered of a part or object that it took. */
interface Answered {
  readonly ETag?: string | undefined;
  readonly ChecksumSHA256?: string | undefined;
}

/** An ETag as it is compared: without quotes, which some answers of radosgw lack. */
export function bareEtag(etag: string | undefined): string {
  return (etag ?? "").replace(/^"(.*)"$/, "$1");
}

export function quotedEtag(bare: string): string {
  return `"${bare}"`;
}

/** The tag of a part: its ETag, and behind a space its SHA-256 (base64) where the store keeps one. */
export function tagOf(answer: Answered): string {
  const { ChecksumSHA256: sha256 } = answer;
  return sha256 === undefined ? bareEtag(answer.ETag) : `${bareEtag(answer.ETag)} ${sha256}`;
}

export function parseTag(tag: string): { readonly etag: string; readonly sha256: string | undefined } {
  const [etag = "", sha256] = tag.split(" ");
  return { etag, sha256 };
}

/** The ETag of the object that is made of these parts, where ETags are MD5; null when one of them is not. */
export function compositeEtag(tags: readonly string[]): string | null {
  const hash = createHash("md5");
  for (const tag of tags) {
    const { etag } = parseTag(tag);
    if (!/^[0-9a-f]{32}$/.test(etag)) return null;
    hash.update(etag, "hex");
  }
  return `${hash.digest("hex")}-${tags.length}`;
}

/** Whether an object's ETag is that of just these parts, in their order. */
export function isOfParts(object: ObjectInfo, parts: readonly StoredPart[]): boolean {
  return object.version === compositeEtag(parts.map(({ tag }) => tag));
}

/**
 * What is kept of an object held against its seal (`Vault.attest`). A checksum that the store keeps counts where the store was seen to check such,
 * an ETag where it was seen to check the digests of the bodies that it takes: else both may belong to bytes that were damaged on their way.
 */
export function attestObject(
  can: S3Capabilities,
  object: ObjectInfo,
  expected: ExpectedBytes,
): Attestation | null {
  const bySha256 = can.checksums ? attestSha256(object, expected) : null;
  return bySha256 ?? (can.etag && can.digestOnWrite ? attestEtag(object, expected) : null);
}

/** A checksum of another number of parts says nothing of these. */
function attestSha256({ sha256 }: ObjectInfo, { digests }: ExpectedBytes): Attestation | null {
  if (sha256 === undefined) return null;
  const parts = partCount(sha256);
  const bytes = digests.map((digest) => Buffer.from(digest, "hex"));
  const expected =
    parts === null
      ? bytes[0]?.toString("base64")
      : `${createHash("sha256").update(Buffer.concat(bytes)).digest("base64")}-${bytes.length}`;
  if (expected === undefined || (parts ?? 1) !== bytes.length) return null;
  return { method: "sha256 kept by the store", matches: sha256 === expected, expected, actual: sha256 };
}

function attestEtag({ version }: ObjectInfo, { tags }: ExpectedBytes): Attestation | null {
  if (tags === null) return null;
  const parts = partCount(version);
  const expected = parts === null ? parseTag(tags[0] ?? "").etag : compositeEtag(tags);
  if (expected === null || expected === "" || (parts ?? 1) !== tags.length) return null;
  return { method: "etag of the parts", matches: version === expected, expected, actual: version };
}

/** Of a checksum or ETag `...-N`; null for that of an object that was put whole. */
function partCount(kept: string): number | null {
  const match = /-(\d+)$/.exec(kept);
  return match === null ? null : Number(match[1]);
}
