import type { RuleOptions } from "./support/fault.ts";
import { faultsFor } from "./support/fault-catalogue.ts";
import type { Operation } from "./support/s3-call.ts";

export type NamedFault = ReturnType<typeof faultsFor>[number];

/** A step of a transfer as its store sees it: the nth request (from 1) of this kind for this key. */
export interface Step {
  /** Heading of its column. */
  readonly name: string;
  readonly operation: Operation;
  readonly key?: RegExp;
  readonly part?: number;
  readonly nth?: number;
}

const SEAL = /\/seal\.json$/;
const ARCHIVE = /\.tar$/;
const MANIFEST = /\/manifest\.json$/;
const SIGNATURE = /\.dsse\.json$/;
const RECORD = /\/stored\/[^/]+\.json$/;

/** A new push whose archive goes in three parts, up to the end check. */
export const PUSH_PARTS: readonly Step[] = [
  { name: "seal?", operation: "head", key: SEAL },
  { name: "archive?", operation: "head", key: ARCHIVE },
  { name: "create", operation: "create-upload" },
  { name: "part 1", operation: "upload-part", part: 1 },
  { name: "part 2", operation: "upload-part", part: 2 },
  { name: "last part", operation: "upload-part", part: 3 },
  { name: "free?", operation: "head", key: ARCHIVE, nth: 2 },
  { name: "complete", operation: "complete-upload" },
  { name: "there?", operation: "head", key: ARCHIVE, nth: 3 },
  { name: "check", operation: "head", key: ARCHIVE, nth: 4 },
];

/** The run after one that stopped at the last part. */
export const PUSH_RESUMED: readonly Step[] = [{ name: "list parts", operation: "list-parts" }];

/** A new push whose archive is one part and goes in one request; an upload of its key that somebody left is dropped at its end. */
export const PUSH_WHOLE: readonly Step[] = [
  { name: "archive", operation: "put", key: ARCHIVE },
  { name: "manifest", operation: "put", key: MANIFEST },
  { name: "signature", operation: "put", key: SIGNATURE },
  { name: "check", operation: "head", key: ARCHIVE, nth: 2 },
  { name: "manifest?", operation: "head", key: MANIFEST, nth: 2 },
  { name: "record", operation: "put", key: RECORD },
  { name: "seal", operation: "put", key: SEAL },
  { name: "uploads", operation: "list-uploads" },
  { name: "abort", operation: "abort-upload" },
  { name: "left?", operation: "list-parts" },
];

/** A push to a vault of which nothing is known: its end check reads the archive back. */
export const PUSH_READ_BACK: readonly Step[] = [
  { name: "range", operation: "get", key: ARCHIVE },
  { name: "seal free?", operation: "head", key: SEAL, nth: 2 },
  { name: "seal", operation: "put", key: SEAL },
];

/** The push of a package that is stored already. */
export const PUSH_AGAIN: readonly Step[] = [
  { name: "seal?", operation: "head", key: SEAL },
  { name: "seal", operation: "get", key: SEAL },
  { name: "archive?", operation: "head", key: ARCHIVE },
  { name: "signature", operation: "put", key: SIGNATURE },
  { name: "its bytes?", operation: "head", key: SIGNATURE },
  { name: "its bytes", operation: "get", key: SIGNATURE },
  { name: "uploads", operation: "list-uploads" },
  { name: "records", operation: "list" },
  { name: "record?", operation: "head", key: RECORD },
  { name: "record", operation: "get", key: RECORD },
];

/** A pull into an empty folder, and the fetching of manifest.json alone. */
export const PULL: readonly Step[] = [
  { name: "seal?", operation: "head", key: SEAL },
  { name: "seal", operation: "get", key: SEAL },
  { name: "archive?", operation: "head", key: ARCHIVE },
  { name: "range 1", operation: "get", key: ARCHIVE },
  { name: "range 2", operation: "get", key: ARCHIVE, nth: 2 },
  { name: "last range", operation: "get", key: ARCHIVE, nth: 4 },
  { name: "signatures", operation: "list" },
  { name: "signature?", operation: "head", key: SIGNATURE },
  { name: "signature", operation: "get", key: SIGNATURE },
  { name: "manifest?", operation: "head", key: MANIFEST },
  { name: "manifest", operation: "get", key: MANIFEST },
];

/** `verify --remote`. */
export const ATTEST: readonly Step[] = [
  { name: "archive?", operation: "head", key: ARCHIVE },
  { name: "records", operation: "list" },
  { name: "record?", operation: "head", key: RECORD },
  { name: "record", operation: "get", key: RECORD },
];

/** `verify --remote --full`. */
export const VERIFY: readonly Step[] = [
  { name: "seal?", operation: "head", key: SEAL },
  { name: "seal", operation: "get", key: SEAL },
  { name: "manifest?", operation: "head", key: MANIFEST },
  { name: "manifest", operation: "get", key: MANIFEST },
  { name: "signatures", operation: "list" },
  { name: "signature?", operation: "head", key: SIGNATURE },
  { name: "signature", operation: "get", key: SIGNATURE },
  { name: "archive?", operation: "head", key: ARCHIVE },
  { name: "range 1", operation: "get", key: ARCHIVE },
  { name: "range 2", operation: "get", key: ARCHIVE, nth: 2 },
  { name: "last range", operation: "get", key: ARCHIVE, nth: 4 },
];

/** A login page of a hotel in place of the answer. */
const LOGIN_PAGE: NamedFault = {
  name: "200 and a login page",
  fault: {
    kind: "rewrite",
    change: (answer) => {
      answer.status = 200;
      answer.headers = { "content-type": "text/html" };
      answer.body = Buffer.from("<!DOCTYPE html><html><head><title>Welcome</title></head></html>");
    },
  },
};

/** Answers that are XML can be damaged on their way as well as content. */
const WITH_XML: ReadonlySet<Operation> = new Set([
  "create-upload",
  "complete-upload",
  "list-parts",
  "list-uploads",
  "list",
]);
const ON_XML: ReadonlySet<string> = new Set([
  "reset in the answer",
  "download stalls",
  "body cut short",
  "shorter body, announced as such",
  "bit flipped on the way down",
]);

/** Every fault that can befall a step: those of the catalogue, and what else a way to the store does. */
export function faultsAt({ operation }: Step): readonly NamedFault[] {
  const onXml = WITH_XML.has(operation) ? faultsFor("get").filter(({ name }) => ON_XML.has(name)) : [];
  return [...faultsFor(operation), ...onXml, LOGIN_PAGE];
}

/** The requests that a rule is to meet. */
export function matching({ operation, key, part, nth }: Step): RuleOptions {
  return {
    operation,
    ...(key === undefined ? {} : { key }),
    ...(part === undefined ? {} : { part }),
    ...(nth === undefined ? {} : { nth }),
  };
}
