/** The head of an HTTP/1.1 answer. */
export interface HttpHead {
  readonly status: number;
  /** Names in lower case; repeated ones joined by commas (RFC 9110, section 5.2). */
  readonly headers: Record<string, string>;
}

/** Null for what is no head as RFC 9112 writes it, or tells the length of its body twice. */
export function parseHead(text: string): HttpHead | null {
  const [first = "", ...lines] = text.split("\r\n");
  const status = /^HTTP\/1\.1 ([1-9]\d\d)(?: |$)/.exec(first)?.[1];
  if (status === undefined) return null;
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
    if (name === undefined || value === undefined) return null;
    const key = name.toLowerCase();
    const before = headers[key];
    if (before !== undefined && key === "content-length") return null;
    headers[key] = before === undefined ? value : `${before}, ${value}`;
  }
  return { status: Number(status), headers };
}

/** The length that the body is announced with; null when it is not, or when the body comes in chunks. */
export function announcedLength({ headers }: HttpHead): number | null {
  const length = headers["content-length"];
  if (length === undefined || !/^\d{1,15}$/.test(length) || isChunked(headers)) return null;
  return Number(length);
}

function isChunked(headers: HttpHead["headers"]): boolean {
  return headers["transfer-encoding"] !== undefined;
}

/** No store's error is as long; what follows is not kept. */
const MAX_ERROR = 256 * 1024;

/** Collects the body of a refusal, however it is framed (RFC 9112, section 6.3). */
export class ErrorBody {
  readonly #length: number | null;
  readonly #chunked: boolean;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(head: HttpHead) {
    this.#length = announcedLength(head);
    this.#chunked = isChunked(head.headers);
  }

  add(bytes: Uint8Array): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
  }

  /** Whether all is there; a body without a length ends with its connection. */
  get complete(): boolean {
    if (this.#bytes.length >= MAX_ERROR) return true;
    if (this.#chunked) return unchunked(this.#bytes) !== null;
    return this.#length !== null && this.#bytes.length >= this.#length;
  }

  /** What came, without its framing. */
  get bytes(): Buffer {
    if (this.#chunked) return unchunked(this.#bytes) ?? Buffer.alloc(0);
    return this.#bytes.subarray(0, this.#length ?? MAX_ERROR);
  }
}

/** The content of a chunked body (RFC 9112, section 7.1); null while its last chunk is not there. */
function unchunked(body: Buffer): Buffer | null {
  const chunks: Buffer[] = [];
  for (let at = 0; ; ) {
    const lineEnd = body.indexOf("\r\n", at);
    if (lineEnd === -1) return null;
    const size = /^[0-9A-Fa-f]{1,8}/.exec(body.toString("latin1", at, lineEnd))?.[0];
    if (size === undefined) return null;
    const start = lineEnd + 2;
    const length = Number.parseInt(size, 16);
    if (length === 0) return Buffer.concat(chunks);
    if (start + length + 2 > body.length) return null;
    chunks.push(body.subarray(start, start + length));
    at = start + length + 2;
  }
}
