import type { IncomingMessage } from "node:http";

/** What a request asks of the store, by the names of this test bed. */
export type Operation =
  | "create-upload"
  | "upload-part"
  | "complete-upload"
  | "abort-upload"
  | "list-parts"
  | "list-uploads"
  | "put"
  | "head"
  | "get"
  | "delete"
  | "list"
  | "head-bucket"
  /** Everything else: configuration of a bucket, tags, locks, buckets themselves. */
  | "other";

/** One request as the store would understand it. Addressing is by path: `/bucket/key`. */
export interface S3Call {
  readonly method: string;
  readonly operation: Operation;
  readonly bucket: string;
  /** Decoded; empty for a request about the bucket. */
  readonly key: string;
  readonly part: number | undefined;
  /** The Range header as sent. */
  readonly range: string | undefined;
}

/** Parameters that belong to plain requests for objects and lists; any other makes the request an "other". */
const PLAIN = new Set([
  ...["uploads", "uploadId", "partNumber", "part-number-marker", "max-parts", "versionId", "versions"],
  ...["list-type", "prefix", "delimiter", "marker", "max-keys", "continuation-token", "start-after"],
  ...["encoding-type", "fetch-owner", "key-marker", "version-id-marker", "upload-id-marker", "max-uploads"],
  ...["x-id"],
]);

function isPlain(name: string): boolean {
  return PLAIN.has(name) || name.startsWith("response-") || name.toLowerCase().startsWith("x-amz-");
}

const ON_UPLOAD: Readonly<Record<string, Operation>> = {
  PUT: "upload-part",
  POST: "complete-upload",
  DELETE: "abort-upload",
  GET: "list-parts",
};
const ON_OBJECT: Readonly<Record<string, Operation>> = {
  PUT: "put",
  HEAD: "head",
  GET: "get",
  DELETE: "delete",
};
const ON_BUCKET: Readonly<Record<string, Operation>> = { HEAD: "head-bucket", GET: "list" };

function operationOf(method: string, bucket: string, key: string, query: URLSearchParams): Operation {
  if (bucket === "" || [...query.keys()].some((name) => !isPlain(name))) return "other";
  if (query.has("uploadId")) return ON_UPLOAD[method] ?? "other";
  if (query.has("uploads")) return method === "POST" ? "create-upload" : "list-uploads";
  return (key === "" ? ON_BUCKET[method] : ON_OBJECT[method]) ?? "other";
}

/** A path that is no URL encoding is taken as it stands; the store will refuse it. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Reads what a request asks for; its body is not touched. */
export function readCall(request: IncomingMessage): S3Call {
  const method = request.method ?? "";
  const [path = "/", search = ""] = (request.url ?? "/").split("?", 2);
  const query = new URLSearchParams(search);
  const [, bucket = "", ...rest] = path.split("/").map(decoded);
  const key = rest.join("/");
  const partText = query.get("partNumber");
  return {
    method,
    operation: operationOf(method, bucket, key, query),
    bucket,
    key,
    part: partText === null ? undefined : Number(partText),
    range: request.headers.range,
  };
}
