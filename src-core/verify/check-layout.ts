import type { Finding } from "../../src-contract/findings.ts";
import type { FileRecord, ManifestHeader } from "../../src-contract/manifest.ts";
import type { Seal } from "../../src-contract/seal.ts";
import { BLOCK, headerSize, padded, TRAILER_SIZE, writeHeader } from "../archive/tar-layout.ts";
import { bagitTxt, manifestLine, sealedBagInfoTxt } from "../bag/write-tags.ts";
import { asFailure } from "../failing.ts";
import { readManifest } from "../package/manifest-reader.ts";
import { packageName } from "../package/package-name.ts";
import { wholeSeconds } from "../package/times.ts";
import { ArchiveBytes } from "./archive-bytes.ts";
import { sealFinding } from "./seal-rules.ts";
import { type ArchiveEntry, digestEntry, findTagEntries } from "./tag-entries.ts";
import { TextLines } from "./text-lines.ts";

export interface LayoutRequest {
  readonly archivePath: string;
  readonly seal: Seal;
}

export interface Layout {
  readonly findings: readonly Finding[];
  /** Null when manifest.json could not be read from the archive. */
  readonly manifest: {
    readonly header: ManifestHeader;
    readonly contentOffset: number;
    readonly size: number;
  } | null;
}

interface PayloadManifest {
  readonly name: string;
  readonly lines: TextLines;
  /** Where it ends in the archive. */
  readonly end: number;
}

/** Findings beyond this many are dropped: an archive that disagrees in a thousand places is not told better by a million. */
const LISTED = 1000;
const LF = 0x0a;
const TAG_FILE_CAP = 16 * 1024 * 1024;

/**
 * Holds an archive's headers, manifest.json, payload manifests and tag manifests against each other and against the seal.
 * Every header is produced anew from manifest.json and compared byte for byte, at the place where it must be. Contents of payload
 * files are not read. Reports all it finds; where one fault shifts everything after it, the rest is not reported again.
 */
export async function checkLayout({ archivePath, seal }: LayoutRequest): Promise<Layout> {
  const archive = new ArchiveBytes(archivePath);
  try {
    return await new LayoutCheck(archive, seal).run();
  } finally {
    archive.close();
  }
}

class LayoutCheck {
  readonly #archive: ArchiveBytes;
  readonly #seal: Seal;
  readonly #topFolder: string;
  readonly #findings: Finding[] = [];

  constructor(archive: ArchiveBytes, seal: Seal) {
    this.#archive = archive;
    this.#seal = seal;
    this.#topFolder = packageName(seal);
  }

  #found(...finding: Parameters<typeof sealFinding>): void {
    if (this.#findings.length < LISTED) this.#findings.push(sealFinding(...finding));
  }

  async run(): Promise<Layout> {
    const { tags, end } = findTagEntries(this.#archive, this.#topFolder);
    this.#checkTagNames(tags);
    this.#checkTrailer(end, tags.at(-1)?.end ?? 0);
    const manifestEntry = this.#tag(tags, "manifest.json");
    if (manifestEntry === undefined) return { findings: this.#findings, manifest: null };
    const digest = digestEntry(this.#archive, manifestEntry, "sha256");
    if (digest !== this.#seal.manifestSha256) {
      this.#found("MANIFEST_JSON_DIGEST", {
        path: "manifest.json",
        expected: this.#seal.manifestSha256,
        actual: digest,
      });
    }
    let header: ManifestHeader | null = null;
    try {
      header = await this.#checkAgainstManifest(manifestEntry, tags);
    } catch (error) {
      const { failure } = asFailure(error);
      if (failure.code !== "MANIFEST_INVALID") throw error;
      this.#found("MANIFEST_JSON", { path: "manifest.json", what: failure.message });
    }
    this.#checkTagManifests(tags);
    const { contentOffset, size } = manifestEntry;
    return { findings: this.#findings, manifest: header === null ? null : { header, contentOffset, size } };
  }

  #tag(tags: readonly ArchiveEntry[], name: string): ArchiveEntry | undefined {
    return tags.find((entry) => entry.path === `${this.#topFolder}/${name}`);
  }

  #checkTagNames(tags: readonly ArchiveEntry[]): void {
    const names = tags.map((entry) => entry.path.slice(this.#topFolder.length + 1));
    const with512 = names.includes("manifest-sha512.txt");
    const expected = [
      "bagit.txt",
      "bag-info.txt",
      "manifest.json",
      "manifest-sha256.txt",
      ...(with512 ? ["manifest-sha512.txt"] : []),
      "tagmanifest-sha256.txt",
      ...(with512 ? ["tagmanifest-sha512.txt"] : []),
    ];
    if (names.join("\n") !== expected.join("\n")) {
      this.#found("TAG_FILES", { expected: expected.join(", "), actual: names.join(", ") });
    }
    for (const [i, tag] of tags.entries()) {
      const next = tags[i + 1];
      if (next !== undefined && next.headerOffset !== tag.end) {
        this.#found("HEADER", { path: next.path, what: "another entry stands between the tag files" });
      }
    }
    const bagit = this.#tag(tags, "bagit.txt");
    if (
      bagit !== undefined &&
      this.#archive.slice(bagit.contentOffset, Math.min(bagit.size, 4096)).toString() !== bagitTxt()
    ) {
      this.#found("TAG_FILE_CONTENT", { path: "bagit.txt", expected: bagitTxt() });
    }
  }

  #checkTrailer(end: number, lastTagEnd: number): void {
    const trailer = this.#archive.slice(end, TRAILER_SIZE);
    if (
      trailer.length !== TRAILER_SIZE ||
      trailer.some((byte) => byte !== 0) ||
      end + TRAILER_SIZE !== this.#seal.archiveSize ||
      lastTagEnd !== end
    ) {
      this.#found("TRAILER", {
        expected: `end of archive at byte ${this.#seal.archiveSize}`,
        actual: `entries end at byte ${end}`,
      });
    }
  }

  async #checkAgainstManifest(entry: ArchiveEntry, tags: readonly ArchiveEntry[]): Promise<ManifestHeader> {
    const source = this.#archive.range(entry.contentOffset, entry.size);
    const manifest = await readManifest(source);
    const { header } = manifest;
    this.#checkIdentity(header);
    this.#checkBagInfo(tags, header);
    const lines = {
      sha256: this.#payloadManifest(tags, "manifest-sha256.txt"),
      sha512: this.#payloadManifest(tags, "manifest-sha512.txt"),
    };
    let offset = 0;
    let placed = true;
    for await (const records of manifest.files()) {
      for (const record of records) {
        this.#compareLine(lines.sha256, record, record.sha256);
        this.#compareLine(lines.sha512, record, record.sha512);
        // After the first header that is not where it must be, all following ones are elsewhere too: one finding says it.
        if (placed)
          placed = this.#checkHeader(record.path, record.size, wholeSeconds(record.modified), offset);
        const contentOffset = offset + headerSize(`${this.#topFolder}/${record.path}`, record.size);
        if (record.offset !== contentOffset) {
          this.#found("OFFSET", {
            path: record.path,
            expected: String(contentOffset),
            actual: String(record.offset),
          });
        }
        offset = contentOffset + padded(record.size);
      }
    }
    this.#expectEnd(lines.sha256);
    this.#expectEnd(lines.sha512);
    const first = tags[0];
    if (first !== undefined && first.headerOffset !== offset && placed) {
      this.#found("HEADER", {
        path: first.path,
        what: `the payload ends at byte ${offset} by manifest.json and at ${first.headerOffset} by its headers`,
      });
    }
    for (const tag of tags) {
      const path = tag.path.slice(this.#topFolder.length + 1);
      if (placed) this.#checkHeader(path, tag.size, wholeSeconds(header.sealed), tag.headerOffset);
    }
    if (placed) this.#checkPadding(padded(this.#before.contentEnd) - this.#before.contentEnd);
    return header;
  }

  #checkIdentity(header: ManifestHeader): void {
    const expected = `${this.#seal.packageId} ${this.#topFolder} ${this.#seal.engagement}`;
    const actual = `${header.packageId} ${header.name} ${header.engagement}`;
    if (expected !== actual) this.#found("MANIFEST_IDENTITY", { path: "manifest.json", expected, actual });
  }

  /** All of bag-info.txt follows from manifest.json but the client's name. */
  #checkBagInfo(tags: readonly ArchiveEntry[], header: ManifestHeader): void {
    const entry = this.#tag(tags, "bag-info.txt");
    if (entry === undefined) return;
    const actual = this.#archive.slice(entry.contentOffset, Math.min(entry.size, TAG_FILE_CAP)).toString();
    const client = /^Source-Organization: (.*)$/m.exec(actual)?.[1] ?? null;
    const expected = sealedBagInfoTxt(header, client);
    if (actual !== expected) this.#found("TAG_FILE_CONTENT", { path: "bag-info.txt", expected, actual });
  }

  readonly #produced = Buffer.alloc(BLOCK * 64);
  /** The entry whose padding, in front of the next header, is still to be compared. */
  #before = { path: "", contentEnd: 0 };

  /** Compares the padding of the entry before and this header, in one read. */
  #checkHeader(path: string, size: number, seconds: number, offset: number): boolean {
    const gap = offset - this.#before.contentEnd;
    const fill = gap >= 0 && gap < BLOCK ? gap : 0;
    const length = fill + headerSize(`${this.#topFolder}/${path}`, size);
    const produced = length <= this.#produced.length ? this.#produced : Buffer.alloc(length);
    produced.fill(0, 0, fill);
    writeHeader(produced, fill, `${this.#topFolder}/${path}`, size, seconds);
    const read = this.#archive.step(offset - fill, length);
    const whole = read.length === length;
    const same = whole && produced.compare(read, 0, length, 0, length) === 0;
    if (!same) this.#checkPadding(fill);
    this.#before = { path, contentEnd: offset + length - fill + size };
    if (same || (whole && produced.compare(read, fill, length, fill, length) === 0)) return true;
    this.#found("HEADER", { path, what: `at byte ${offset}` });
    return false;
  }

  /** The bytes after the entry before, so many of them, are zero. */
  #checkPadding(length: number): void {
    const { path, contentEnd } = this.#before;
    if (this.#archive.slice(contentEnd, length).every((byte) => byte === 0)) return;
    this.#found("PADDING", { path, what: `after byte ${contentEnd}` });
  }

  #payloadManifest(tags: readonly ArchiveEntry[], name: string): PayloadManifest | null {
    const entry = this.#tag(tags, name);
    return entry === undefined
      ? null
      : {
          name,
          lines: new TextLines(this.#archive, entry.contentOffset, entry.size),
          end: entry.contentOffset + entry.size,
        };
  }

  #compareLine(manifest: PayloadManifest | null, record: FileRecord, digest: string | undefined): void {
    if (manifest === null) {
      if (digest !== undefined && digest.length === 128) {
        this.#found("PAYLOAD_MANIFEST", {
          path: record.path,
          what: "manifest.json has a SHA-512, the bag has no manifest-sha512.txt",
        });
      }
      return;
    }
    const expected = manifestLine(digest ?? "", record.path).slice(0, -1);
    const actual = manifest.lines.next();
    if (actual !== expected) {
      this.#found("PAYLOAD_MANIFEST", {
        path: record.path,
        expected,
        actual: actual ?? "end of file",
        what: manifest.name,
      });
    }
  }

  #expectEnd(manifest: PayloadManifest | null): void {
    if (manifest === null) return;
    const { name: path, end, lines } = manifest;
    const rest = lines.next();
    if (rest !== null) this.#found("PAYLOAD_MANIFEST", { path, expected: "end of file", actual: rest });
    else if (this.#archive.slice(end - 1, 1)[0] !== LF)
      this.#found("PAYLOAD_MANIFEST", { path, what: "its last line has no line end" });
  }

  #checkTagManifests(tags: readonly ArchiveEntry[]): void {
    for (const algorithm of ["sha256", "sha512"] as const) {
      const name = `tagmanifest-${algorithm}.txt`;
      const entry = this.#tag(tags, name);
      if (entry === undefined) continue;
      const listed = tags.filter((tag) => !tag.path.includes("/tagmanifest-"));
      const expected = listed
        .map((tag) =>
          manifestLine(
            digestEntry(this.#archive, tag, algorithm),
            tag.path.slice(this.#topFolder.length + 1),
          ),
        )
        .join("");
      const actual = this.#archive.slice(entry.contentOffset, Math.min(entry.size, TAG_FILE_CAP)).toString();
      if (actual !== expected) this.#found("TAG_MANIFEST", { path: name, expected, actual });
      if (algorithm === "sha256") {
        const digest = digestEntry(this.#archive, entry, "sha256");
        if (digest !== this.#seal.tagmanifestSha256) {
          this.#found("TAG_MANIFEST_DIGEST", {
            path: name,
            expected: this.#seal.tagmanifestSha256,
            actual: digest,
          });
        }
      }
    }
  }
}
