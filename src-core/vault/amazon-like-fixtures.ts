import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { rangeOf, refuse } from "./fake-store-fixtures.ts";
import { type Deviations, keptAs } from "./store-deviations-fixtures.ts";

interface Stored {
  readonly bytes: Buffer;
  readonly etag: string;
  readonly sha256: string | null;
  /** Headers that tell how it is kept. */
  readonly kept?: Readonly<Record<string, string>>;
}
interface Upload {
  readonly key: string;
  readonly kept: Readonly<Record<string, string>>;
  readonly checksums: boolean;
  readonly parts: Map<number, Stored>;
}

const digestOf = (kind: string, bytes: Uint8Array) => createHash(kind).update(bytes);
const escaped = (text: string) => encodeURIComponent(text).replaceAll("%20", "+");

/** For tests only: what Amazon S3 documents of the requests that the vault makes, in memory; radosgw keeps no checksums and replaces at completion. */
export class AmazonLike {
  /** Requests with the headers that a test asks for. */
  readonly asked: { readonly name: string; readonly headers: IncomingMessage["headers"] }[] = [];
  readonly objects = new Map<string, Stored>();
  readonly #uploads = new Map<string, Upload>();
  readonly #is: Deviations;
  #count = 0;

  constructor(deviations: Deviations = {}) {
    this.#is = deviations;
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<ServerResponse> {
    const url = new URL(request.url ?? "", "http://store");
    const key = decodeURIComponent(url.pathname).replace(/^\/[^/]+\/?/, "");
    const { searchParams: query } = url;
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    if (request.method === "PUT" && this.#is.damages?.test(key)) body[0] = (body[0] ?? 0) ^ 1;
    const upload = this.#uploads.get(query.get("uploadId") ?? "");
    const kind = query.has("uploadId")
      ? "upload"
      : key === ""
        ? "bucket"
        : query.has("uploads")
          ? "uploads"
          : "object";
    const name = `${request.method} ${kind}`;
    this.asked.push({ name, headers: request.headers });
    const { authorization = "" } = request.headers;
    const mayRead = this.#is.reader !== undefined && authorization.includes(`Credential=${this.#is.reader}/`);
    if (mayRead && !/^(GET|HEAD) /.test(name)) return refuse(response, 403, "AccessDenied");
    if (this.#is.refusesIfNoneMatch && request.headers["if-none-match"] !== undefined) {
      const message = "A header you provided implies functionality that is not implemented";
      return refuse(response, 501, "NotImplemented", { message });
    }
    if (kind === "upload" && upload?.key !== key) return refuse(response, 404, "NoSuchUpload");
    switch (name) {
      case "GET bucket":
        return this.#bucket(query, response);
      case "PUT object":
        return this.#put(key, body, request, response);
      case "HEAD object":
      case "GET object":
        return this.#get(key, request, response);
      case "DELETE object":
        this.objects.delete(key);
        return response.writeHead(204).end();
      case "POST uploads":
        return this.#begin(key, request, response);
      case "DELETE upload":
        this.#uploads.delete(query.get("uploadId") ?? "");
        return response.writeHead(204).end();
    }
    if (upload === undefined) return refuse(response, 405, "MethodNotAllowed");
    if (request.headers["x-amz-copy-source"] !== undefined)
      return this.#copied(upload, Number(query.get("partNumber")), request, response);
    if (name === "PUT upload")
      return this.#part(upload, Number(query.get("partNumber")), body, request, response);
    if (name === "GET upload") return this.#parts(upload, response);
    return this.#complete(query.get("uploadId") ?? "", upload, body.toString(), request, response);
  }

  /** What a body becomes, or null when it was refused. */
  #taken(body: Buffer, { headers, url }: IncomingMessage, response: ServerResponse): Stored | null {
    const isPart = /[?&]partNumber=/.test(url ?? "");
    const sha256 = digestOf("sha256", body);
    const hex = sha256.copy().digest("hex");
    const checksum = sha256.digest("base64");
    const given = headers["x-amz-checksum-sha256"];
    const md5 = digestOf("md5", body).digest("base64");
    const ignored = this.#is.ignoresDigests || (this.#is.ignoresDigestsOfParts && isPart);
    if (!ignored && headers["x-amz-content-sha256"] !== hex) {
      refuse(response, 400, "XAmzContentSHA256Mismatch");
    } else if (headers["content-md5"] !== undefined && headers["content-md5"] !== md5)
      refuse(response, 400, "BadDigest");
    else if (!this.#is.ignoresChecksums && given !== undefined && given !== checksum)
      refuse(response, 400, "BadDigest");
    else if (this.#is.wantsMd5 && headers["content-md5"] === undefined && given === undefined) {
      const message =
        "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters";
      refuse(response, 400, "InvalidRequest", { message });
    } else {
      const etag = this.#is.opaqueEtags ? `opaque${this.#count++}` : digestOf("md5", body).digest("hex");
      return {
        bytes: body,
        etag,
        sha256: given === undefined || this.#is.ignoresChecksums ? null : checksum,
      };
    }
    return null;
  }

  #taken412(key: string, { headers }: IncomingMessage, response: ServerResponse): boolean {
    if (this.#is.ignoresIfNoneMatch || headers["if-none-match"] !== "*" || !this.objects.has(key))
      return false;
    refuse(response, 412, "PreconditionFailed");
    return true;
  }

  #put(key: string, body: Buffer, request: IncomingMessage, response: ServerResponse): ServerResponse {
    if (this.#taken412(key, request, response)) return response;
    const kept = keptAs(this.#is, request, response);
    if (kept === null) return response;
    const stored = this.#taken(body, request, response);
    if (stored === null) return response;
    this.objects.set(key, { ...stored, kept });
    return response.writeHead(200, { ...headersOf(stored, true), ...kept }).end();
  }

  #get(key: string, request: IncomingMessage, response: ServerResponse): ServerResponse {
    const stored = this.objects.get(key);
    if (stored === undefined) return refuse(response, 404, "NoSuchKey");
    const checksum = headersOf(stored, request.headers["x-amz-checksum-mode"] === "ENABLED");
    const kept = { ...checksum, ...stored.kept };
    const frozen = /^(GLACIER|DEEP_ARCHIVE)$/.test(kept["x-amz-storage-class"] ?? "");
    if (frozen && request.method === "GET") return refuse(response, 403, "InvalidObjectState");
    if (request.method === "HEAD")
      return response.writeHead(200, { ...kept, "content-length": stored.bytes.length }).end();
    const match = request.headers["if-match"];
    if (match !== undefined && match !== `"${stored.etag}"`)
      return refuse(response, 412, "PreconditionFailed");
    const [, from = "0"] = /^bytes=(\d+)-/.exec(request.headers.range ?? "") ?? [];
    if (Number(from) >= stored.bytes.length) return refuse(response, 416, "InvalidRange");
    return response.end(rangeOf(stored.bytes, stored.etag, request, response));
  }

  #begin(key: string, request: IncomingMessage, response: ServerResponse): ServerResponse {
    const { headers } = request;
    const kept = keptAs(this.#is, request, response);
    if (kept === null) return response;
    const id = `upload-${this.#count++}`;
    const checksums = headers["x-amz-checksum-algorithm"] === "SHA256" && !this.#is.ignoresChecksums;
    this.#uploads.set(id, { key, kept, checksums, parts: new Map() });
    const echo = checksums
      ? { "x-amz-checksum-algorithm": "SHA256", "x-amz-checksum-type": "COMPOSITE" }
      : {};
    const { "x-amz-storage-class": _, ...encrypted } = kept;
    response.writeHead(200, { ...echo, ...encrypted });
    return response.end(
      `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
    );
  }

  #part(
    upload: Upload,
    number: number,
    body: Buffer,
    request: IncomingMessage,
    response: ServerResponse,
  ): ServerResponse {
    const stored = this.#taken(body, request, response);
    if (stored === null) return response;
    upload.parts.set(number, stored);
    return response.writeHead(200, headersOf(stored, true)).end();
  }

  /** UploadPartCopy; whether the source is still the same one is not looked at. */
  #copied(
    upload: Upload,
    number: number,
    { headers }: IncomingMessage,
    response: ServerResponse,
  ): ServerResponse {
    const [path = ""] = String(headers["x-amz-copy-source"]).split("?");
    const source = this.objects.get(decodeURIComponent(path).replace(/^[^/]+\//, ""));
    if (source === undefined) return refuse(response, 404, "NoSuchKey");
    const [from = 0, to = 0] = String(headers["x-amz-copy-source-range"]).match(/\d+/g)?.map(Number) ?? [];
    const bytes = source.bytes.subarray(from, to + 1);
    const etag = this.#is.opaqueEtags ? `opaque${this.#count++}` : digestOf("md5", bytes).digest("hex");
    const sha256 = upload.checksums ? digestOf("sha256", bytes).digest("base64") : null;
    upload.parts.set(number, { bytes, etag, sha256 });
    const kept = sha256 === null ? "" : `<ChecksumSHA256>${sha256}</ChecksumSHA256>`;
    return response.end(`<CopyPartResult><ETag>"${etag}"</ETag>${kept}</CopyPartResult>`);
  }

  #parts({ parts }: Upload, response: ServerResponse): ServerResponse {
    const numbers = [...parts.keys()].sort((one, other) => one - other);
    const listed = numbers.map((number) => {
      const { etag, bytes, sha256 } = parts.get(number) as Stored;
      const kept = sha256 === null ? "" : `<ChecksumSHA256>${sha256}</ChecksumSHA256>`;
      return `<Part><PartNumber>${number}</PartNumber><ETag>"${etag}"</ETag><Size>${bytes.length}</Size>${kept}</Part>`;
    });
    return response.end(
      `<ListPartsResult><IsTruncated>false</IsTruncated>${listed.join("")}</ListPartsResult>`,
    );
  }

  #complete(
    id: string,
    upload: Upload,
    xml: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): ServerResponse {
    const chosen: Stored[] = [];
    for (const [, part = ""] of xml.matchAll(/<Part>(.*?)<\/Part>/gs)) {
      const field = (name: string) =>
        new RegExp(`<${name}>(.*?)</${name}>`).exec(part)?.[1]?.replaceAll("&quot;", "");
      const stored = upload.parts.get(Number(field("PartNumber")));
      const sameChecksum = !upload.checksums || field("ChecksumSHA256") === stored?.sha256;
      if (stored === undefined || field("ETag")?.replaceAll('"', "") !== stored.etag || !sameChecksum) {
        return refuse(response, 400, "InvalidPart");
      }
      chosen.push(stored);
    }
    if (this.#taken412(upload.key, request, response)) return response;
    const joined = (kind: string, of: (part: Stored) => Buffer) =>
      digestOf(kind, Buffer.concat(chosen.map(of)));
    const md5 = joined("md5", ({ etag }) => Buffer.from(etag, "hex")).digest("hex");
    const etag = this.#is.opaqueEtags ? `opaque${this.#count++}` : `${md5}-${chosen.length}`;
    const composite = joined("sha256", ({ sha256 }) => Buffer.from(sha256 ?? "", "base64")).digest("base64");
    const sha256 = upload.checksums ? `${composite}-${chosen.length}` : null;
    const bytes = Buffer.concat(chosen.map((part) => part.bytes));
    this.objects.set(upload.key, { bytes, etag, sha256, kept: upload.kept });
    this.#uploads.delete(id);
    return response.end(
      `<CompleteMultipartUploadResult><ETag>"${etag}"</ETag></CompleteMultipartUploadResult>`,
    );
  }

  #bucket(query: URLSearchParams, response: ServerResponse): ServerResponse {
    const prefix = query.get("prefix") ?? "";
    if (query.has("versioning")) return response.end("<VersioningConfiguration/>");
    if (query.has("object-lock")) return refuse(response, 404, "ObjectLockConfigurationNotFoundError");
    if (query.has("publicAccessBlock")) {
      const all = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"];
      const xml = all.map((name) => `<${name}>true</${name}>`).join("");
      return response.end(`<PublicAccessBlockConfiguration>${xml}</PublicAccessBlockConfiguration>`);
    }
    if (query.has("uploads")) {
      const found = [...this.#uploads].filter(([, { key }]) => key.startsWith(prefix));
      const begun = `<Initiated>${new Date().toISOString()}</Initiated>`;
      const xml = found.map(
        ([id, { key }]) => `<Upload><Key>${escaped(key)}</Key><UploadId>${id}</UploadId>${begun}</Upload>`,
      );
      return response.end(listing("ListMultipartUploadsResult", xml.join("")));
    }
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix));
    keys.sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
    const xml = keys.map((key) => {
      const { bytes, etag } = this.objects.get(key) as Stored;
      return `<Contents><Key>${escaped(key)}</Key><Size>${bytes.length}</Size><ETag>"${etag}"</ETag></Contents>`;
    });
    return response.end(listing("ListBucketResult", xml.join("")));
  }
}

function listing(name: string, content: string): string {
  return `<${name}><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>${content}</${name}>`;
}

function headersOf({ etag, sha256 }: Stored, withChecksum: boolean): Record<string, string> {
  return {
    etag: `"${etag}"`,
    ...(sha256 === null || !withChecksum ? {} : { "x-amz-checksum-sha256": sha256 }),
  };
}
