import type { Finding } from "../../src-contract/findings.ts";
import type { DigestAlgorithm } from "../digest/hash-pool.ts";
import type { Inventory } from "./inventory.ts";
import { findListedPath } from "./listed-path.ts";
import { parseManifestLine } from "./manifest-line.ts";
import { bagFinding } from "./rules.ts";

/** Bytes of a digest; the algorithms that this program can compute. */
const DIGEST_BYTES: Readonly<Record<DigestAlgorithm, number>> = {
  md5: 16,
  sha1: 20,
  sha224: 28,
  sha256: 32,
  sha384: 48,
  sha512: 64,
};

export interface ManifestName {
  readonly kind: "payload" | "tag";
  /** Null when the algorithm is not known. */
  readonly algorithm: DigestAlgorithm | null;
}

/** Reads the name of a file in the bag's base folder; null when it is no manifest (RFC 8493, sections 2.1.3 and 2.4). */
export function parseManifestName(path: string): ManifestName | null {
  const match = /^(tag)?manifest-([^/]+)\.txt$/i.exec(path);
  if (match === null) return null;
  const name = (match[2] ?? "").toLowerCase().replace(/[^a-z0-9]/g, "");
  const algorithm = Object.hasOwn(DIGEST_BYTES, name) ? (name as DigestAlgorithm) : null;
  return { kind: match[1] === undefined ? "payload" : "tag", algorithm };
}

/** One manifest, held in columns beside the inventory: which files it lists, and with which digest. */
export class ManifestTable {
  readonly path: string;
  readonly kind: "payload" | "tag";
  readonly algorithm: DigestAlgorithm;
  readonly #inventory: Inventory;
  readonly #width: number;
  #listed: Uint8Array<ArrayBuffer>;
  #digests: Buffer<ArrayBuffer>;
  #line = 0;

  constructor(path: string, kind: "payload" | "tag", algorithm: DigestAlgorithm, inventory: Inventory) {
    this.path = path;
    this.kind = kind;
    this.algorithm = algorithm;
    this.#inventory = inventory;
    this.#width = DIGEST_BYTES[algorithm];
    this.#listed = new Uint8Array(inventory.count);
    this.#digests = Buffer.alloc(inventory.count * this.#width);
  }

  /** Whether the manifest lists this file. */
  lists(file: number): boolean {
    return this.#listed[file] === 1;
  }

  /** Whether the manifest lists the file of this path. */
  listsPath(path: string): boolean {
    const file = this.#inventory.find(path);
    return file !== undefined && this.lists(file);
  }

  /** Lower-case hex of a file that is listed. */
  digest(file: number): string {
    return this.#digests.toString("hex", file * this.#width, (file + 1) * this.#width);
  }

  /** Takes the next lines, in order. `strict` applies the rules of BagIt 1.0. Files that are not there get a number in the inventory. */
  read(lines: readonly string[], strict: boolean, findings: Finding[]): void {
    for (const line of lines) {
      this.#line += 1;
      this.#readLine(line, strict, findings);
    }
  }

  #readLine(line: string, strict: boolean, findings: Finding[]): void {
    const at = `${this.path}, line ${this.#line}`;
    if (line.trim() === "") {
      findings.push(bagFinding("MANIFEST_LINE_BLANK", { path: this.path, detail: at }));
      return;
    }
    const parsed = parseManifestLine(line);
    if (parsed === null) {
      findings.push(
        bagFinding("MANIFEST_LINE_MALFORMED", { path: this.path, actual: line.slice(0, 300), detail: at }),
      );
      return;
    }
    const found = findListedPath(this.#inventory, parsed.path, strict);
    if ("unsafe" in found) {
      const detail = `it ${found.unsafe}; ${at}`;
      findings.push(bagFinding("MANIFEST_PATH_UNSAFE", { path: parsed.path, detail }));
      return;
    }
    if ("folder" in found) {
      findings.push(bagFinding("MANIFEST_PATH_NOT_FILE", { path: parsed.path, detail: at }));
      return;
    }
    for (const code of found.notes) findings.push(bagFinding(code, { path: parsed.path, detail: at }));
    if (!this.#belongs(found.path, at, findings)) return;
    if (parsed.digest.length !== this.#width * 2) {
      findings.push(
        bagFinding("MANIFEST_DIGEST_LENGTH", {
          path: found.path,
          expected: `${this.#width * 2} hex digits`,
          actual: `${parsed.digest.length} hex digits`,
          detail: at,
        }),
      );
      return;
    }
    this.#enter(found.file ?? this.#inventory.addAbsent(found.path), parsed.digest, strict, at, findings);
  }

  /** Payload manifests list data/ and nothing else, tag manifests anything else but tag manifests. */
  #belongs(path: string, at: string, findings: Finding[]): boolean {
    const isPayload = path.startsWith("data/");
    if (this.kind === "payload") {
      if (!isPayload) findings.push(bagFinding("MANIFEST_PATH_OUTSIDE_PAYLOAD", { path, detail: at }));
      return isPayload;
    }
    if (isPayload) findings.push(bagFinding("TAG_MANIFEST_LISTS_PAYLOAD", { path, detail: at }));
    const isTagManifest = parseManifestName(path)?.kind === "tag";
    if (isTagManifest) findings.push(bagFinding("TAG_MANIFEST_LISTS_TAG_MANIFEST", { path, detail: at }));
    return !isPayload && !isTagManifest;
  }

  #enter(file: number, digest: string, strict: boolean, at: string, findings: Finding[]): void {
    this.#makeRoom(file);
    if (this.#listed[file] === 1) {
      const expected = this.digest(file);
      const actual = digest.toLowerCase();
      const harmless = !strict && expected === actual;
      findings.push(
        bagFinding(harmless ? "MANIFEST_DUPLICATE_SAME_DIGEST" : "MANIFEST_DUPLICATE", {
          path: this.#inventory.path(file),
          expected,
          actual,
          detail: at,
        }),
      );
      return;
    }
    this.#listed[file] = 1;
    this.#digests.write(digest, file * this.#width, "hex");
  }

  #makeRoom(file: number): void {
    if (file < this.#listed.length) return;
    const room = Math.max(file + 1, this.#listed.length * 2);
    const listed = new Uint8Array(room);
    listed.set(this.#listed);
    const digests = Buffer.alloc(room * this.#width);
    digests.set(this.#digests);
    this.#listed = listed;
    this.#digests = digests;
  }
}
