import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Seal } from "../../src-contract/seal.ts";
import { header, padded } from "../archive/tar-layout.ts";
import { canonicalJson } from "../package/canonical-json.ts";

/** One entry of an archive taken apart; every byte of it can be changed. */
export interface ForgedEntry {
  /** Path below the top folder. */
  readonly path: string;
  header: Buffer;
  content: Buffer;
  padding: Buffer;
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** Takes an archive of format 1 apart; what follows the last entry is not part of the answer. */
export function takeApart(archive: Buffer): ForgedEntry[] {
  const entries: ForgedEntry[] = [];
  for (let at = 0; archive[at] !== 0; ) {
    const headerSize = archive[at + 156] === 0x78 ? 1024 + padded(octal(archive, at)) : 512;
    const contentAt = at + headerSize;
    const size = octal(archive, contentAt - 512);
    const contentEnd = contentAt + size;
    const end = contentAt + padded(size);
    const record = /path=([^\0]*)\n/.exec(archive.toString("utf8", at + 512, contentAt - 512))?.[1];
    const name = record ?? archive.toString("latin1", at, archive.indexOf(0, at));
    entries.push({
      path: name.slice(name.indexOf("/") + 1),
      header: Buffer.from(archive.subarray(at, contentAt)),
      content: Buffer.from(archive.subarray(contentAt, contentEnd)),
      padding: Buffer.from(archive.subarray(contentEnd, end)),
    });
    at = end;
  }
  return entries;
}

function octal(archive: Buffer, block: number): number {
  return Number.parseInt(archive.toString("latin1", block + 124, block + 135), 8);
}

export function entryOf(entries: readonly ForgedEntry[], path: string): ForgedEntry {
  const entry = entries.find((candidate) => candidate.path === path);
  if (entry === undefined) throw new Error(`the archive has no entry ${path}`);
  return entry;
}

/** A new entry with a sound header of its own. */
export function newEntry(topFolder: string, path: string, content: string): ForgedEntry {
  const bytes = Buffer.from(content);
  return {
    path,
    header: header(`${topFolder}/${path}`, bytes.length, 1_700_000_000),
    content: bytes,
    padding: Buffer.alloc(padded(bytes.length) - bytes.length),
  };
}

/** Other content, with header and padding as they must be for it. */
export function rewrite(entry: ForgedEntry, topFolder: string, content: Buffer | string): void {
  const bytes = Buffer.from(content);
  const seconds = Number.parseInt(
    entry.header.toString("latin1", entry.header.length - 376, entry.header.length - 365),
    8,
  );
  entry.header = header(`${topFolder}/${entry.path}`, bytes.length, seconds);
  entry.content = bytes;
  entry.padding = Buffer.alloc(padded(bytes.length) - bytes.length);
}

/** Makes the tag manifests vouch for the tag files as they are now. */
export function retag(entries: readonly ForgedEntry[], topFolder: string): void {
  for (const manifest of entries.filter(({ path }) => path.startsWith("tagmanifest-"))) {
    const algorithm = manifest.path.slice("tagmanifest-".length, -".txt".length);
    const lines = entries
      .filter(({ path }) => !path.startsWith("data/") && !path.startsWith("tagmanifest-"))
      .map(({ path, content }) => `${createHash(algorithm).update(content).digest("hex")}  ${path}\n`);
    rewrite(manifest, topFolder, lines.join(""));
  }
}

export function putTogether(entries: readonly ForgedEntry[], trailer: Buffer = Buffer.alloc(1024)): Buffer {
  return Buffer.concat([
    ...entries.flatMap((entry) => [entry.header, entry.content, entry.padding]),
    trailer,
  ]);
}

/** A seal whose parts, size and digests are right for the archive, whatever that holds. */
export function sealFor(archive: Buffer, entries: readonly ForgedEntry[], seal: Seal): Buffer {
  const { archiveSha256, ...rest } = seal;
  const parts = Array.from({ length: Math.ceil(archive.length / seal.partSize) }, (_, i) =>
    sha256(archive.subarray(i * seal.partSize, (i + 1) * seal.partSize)),
  );
  const digest = (path: string, otherwise: string) => {
    const found = entries.find((entry) => entry.path === path);
    return found === undefined ? otherwise : sha256(found.content);
  };
  return Buffer.from(
    canonicalJson({
      ...rest,
      archiveSize: archive.length,
      parts,
      manifestSha256: digest("manifest.json", seal.manifestSha256),
      tagmanifestSha256: digest("tagmanifest-sha256.txt", seal.tagmanifestSha256),
      ...(archiveSha256 === undefined ? {} : { archiveSha256: sha256(archive) }),
    }),
  );
}

/** Puts an archive and its seal side by side, as a handover has them; answers with the archive's path. */
export function layOut(folder: string, name: string, archive: Buffer, seal: Buffer): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${name}.seal.json`), seal);
  writeFileSync(join(folder, `${name}.tar`), archive);
  return join(folder, `${name}.tar`);
}
