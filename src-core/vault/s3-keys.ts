import { fail } from "../failing.ts";
import { oddAnswer } from "./s3-network.ts";
import { type S3Settings, s3Location } from "./s3-settings.ts";

/** Amazon S3 User Guide, "Object key naming guidelines": bytes of UTF-8, the vault's prefix counted. */
const MAX_KEY_BYTES = 1024;

/** What the vault's own keys begin with in the bucket: empty, or ending in `/`. */
export function rootOf({ prefix }: S3Settings): string {
  return prefix === null ? "" : `${prefix}/`;
}

/**
 * The key in the bucket. Throws INVALID_INPUT for what could not be listed again or could leave the vault's prefix on its way: empty segments, `.`
 * and `..`, control characters, and what is no Unicode.
 */
export function bucketKey(settings: S3Settings, key: string): string {
  const full = rootOf(settings) + key;
  if (key.split("/").every(isSegment) && Buffer.byteLength(full) <= MAX_KEY_BYTES) return full;
  throw fail(
    "INVALID_INPUT",
    `${JSON.stringify(key)} is not a key that an S3 vault can hold.`,
    `Use names without control characters, other than . and .., of at most ${MAX_KEY_BYTES} bytes in all.`,
    { subject: key },
  );
}

function isSegment(segment: string): boolean {
  return (
    segment !== "" && segment !== "." && segment !== ".." && !CONTROL.test(segment) && segment.isWellFormed()
  );
}
const CONTROL = /\p{Cc}/u;

/**
 * The vault's own key for one that a listing under its prefix answered, or null for a key outside of it. `encoded`: as EncodingType=url gives it,
 * where Amazon writes a space as `+` and radosgw as `%20`. Throws VAULT_UNREACHABLE for what no store can have written.
 */
export function ownKey(settings: S3Settings, listed: string, encoded: boolean): string | null {
  if (!listed.isWellFormed()) throw oddAnswer(s3Location(settings), "a key that is no Unicode");
  const full = encoded ? decoded(listed.replaceAll("+", "%20")) : listed;
  const root = rootOf(settings);
  return full.startsWith(root) ? full.slice(root.length) : null;
}

/** A key that is no UTF-8 cannot be asked for by anyone; it is listed with U+FFFD in it rather than not at all. */
function decoded(text: string): string {
  const bytes = encodeURI(text).replaceAll("%25", "%");
  const latin1 = bytes.replace(/%([0-9A-Fa-f]{2})/g, (_all, hex) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(latin1, "latin1").toString("utf8");
}
