import type { z } from "zod";
import { type FileRecord, fileRecordSchema } from "../../src-contract/manifest.ts";

const SHA256 = /^[0-9a-f]{64}$/;
const SHA512 = /^[0-9a-f]{128}$/;
const UTC_TIME = /^-?\d{4,6}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/;
/** Empty, `.` and `..` segments and NUL: no file system gives such a path, and an extracting program could be led astray by one. */
const UNSAFE_PATH = /\/\.{0,2}(\/|$)|\0/;

/**
 * Accepts what fileRecordSchema accepts of parsed JSON, ten times as fast: a manifest may list millions.
 * A test holds the two against each other.
 */
export function isFileRecord(value: unknown): value is FileRecord {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const { path, size, sha256, sha512, offset, mediaType, mediaTypeByName, modified, source } =
    value as Record<string, unknown>;
  return (
    typeof path === "string" &&
    path.startsWith("data/") &&
    isSize(size) &&
    matches(sha256, SHA256) &&
    (sha512 === undefined || matches(sha512, SHA512)) &&
    isSize(offset) &&
    isMediaType(mediaType) &&
    (mediaTypeByName === undefined || isMediaType(mediaTypeByName)) &&
    matches(modified, UTC_TIME) &&
    (source === undefined || isSourceNote(source)) &&
    hasOnly(value, 6, [sha512, mediaTypeByName, source])
  );
}

/** Why a payload path or empty folder cannot stand in a manifest, or null. */
export function pathProblem(path: string): string | null {
  if (!path.startsWith("data/")) return "path must begin with data/";
  if (!path.isWellFormed()) return "path is not valid Unicode";
  return UNSAFE_PATH.test(path) ? "path has an empty, '.' or '..' segment or a NUL character" : null;
}

/** What a schema says against a value, on one line. */
export function issueText(error: z.ZodError): string {
  const [issue] = error.issues;
  if (issue === undefined) return "is not valid";
  return issue.path.length === 0 ? issue.message : `${issue.path.join(".")}: ${issue.message}`;
}

/** What fileRecordSchema says against a value that isFileRecord refused. */
export function recordProblem(value: unknown): string {
  const parsed = fileRecordSchema.safeParse(value);
  return parsed.success ? "is not a file record" : issueText(parsed.error);
}

function isSourceNote(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const { born, owner, mode, rawPath } = value as Record<string, unknown>;
  return (
    (born === undefined || matches(born, UTC_TIME)) &&
    (owner === undefined || typeof owner === "string") &&
    (mode === undefined || typeof mode === "string") &&
    (rawPath === undefined || typeof rawPath === "string") &&
    hasOnly(value, 0, [born, owner, mode, rawPath])
  );
}

function isSize(value: unknown): boolean {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isMediaType(value: unknown): boolean {
  if (typeof value !== "string") return false;
  // The schema counts code points, of which a string has at least half as many as it has UTF-16 units.
  return value.length <= 255 || (value.length <= 510 && Array.from(value).length <= 255);
}

function matches(value: unknown, pattern: RegExp): boolean {
  return typeof value === "string" && pattern.test(value);
}

/** Whether an object has no more members than those that are required and those of the optional ones that are there. */
function hasOnly(value: object, required: number, optional: readonly unknown[]): boolean {
  let expected = required;
  for (const member of optional) if (member !== undefined) expected++;
  let found = 0;
  for (const _ in value) found++;
  return found === expected;
}
