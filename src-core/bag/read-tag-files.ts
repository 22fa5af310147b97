import { createHash } from "node:crypto";
import type { Finding } from "../../src-contract/findings.ts";
import type { CancelSignal } from "../../src-contract/progress.ts";
import type { DigestAlgorithm } from "../digest/hash-pool.ts";
import { asFailure, systemCode, throwIfCancelled } from "../failing.ts";
import { BagInfoReader, type Oxum } from "./bag-info.ts";
import { type Declaration, parseBagitTxt } from "./bagit-txt.ts";
import { FetchList } from "./fetch-list.ts";
import { type BagSource, isReadAsText } from "./inventory.ts";
import { ManifestTable, parseManifestName } from "./manifest-table.ts";
import { bagFinding, unreadableFinding } from "./rules.ts";
import { tagLines } from "./tag-text.ts";

/** More than any bagit.txt of two lines can need. */
const MAX_BAGIT_TXT = 64 * 1024;

/** What the tag files say. */
export interface TagFiles {
  readonly declaration: Declaration;
  readonly payloadManifests: readonly ManifestTable[];
  /** Also those whose algorithm is not known. */
  readonly payloadManifestPaths: readonly string[];
  readonly tagManifests: readonly ManifestTable[];
  readonly fetch: FetchList;
  readonly oxum: Oxum | null;
  /** Digests of the files that were read here, by file number, in each algorithm of a tag manifest and in SHA-256. */
  readonly digests: ReadonlyMap<number, Partial<Record<DigestAlgorithm, string>>>;
  /** SHA-256 of every tag file by path; filled up while digests are checked. */
  readonly tagDigests: Map<string, string>;
  /** Algorithms that every tag file is digested in. */
  readonly tagAlgorithms: readonly DigestAlgorithm[];
}

const WEAK: ReadonlySet<string> = new Set(["md5", "sha1"]);

/** Reads bagit.txt, the manifests, fetch.txt and bag-info.txt, each once: what is parsed is what is digested. */
export async function readTagFiles(
  source: BagSource,
  findings: Finding[],
  signal: CancelSignal | undefined,
): Promise<TagFiles> {
  const { inventory } = source;
  const texts: number[] = [];
  for (let file = 0; file < inventory.count; file += 1) {
    if (isReadAsText(inventory.path(file))) texts.push(file);
  }
  const names = texts.map((file) => ({ file, name: parseManifestName(inventory.path(file)) }));
  const tagAlgorithms = [
    ...new Set<DigestAlgorithm>([
      "sha256",
      ...names.flatMap(({ name }) =>
        name?.kind === "tag" && name.algorithm !== null ? [name.algorithm] : [],
      ),
    ]),
  ];
  const digests = new Map<number, Partial<Record<DigestAlgorithm, string>>>();

  /** The chunks of a file; what passes is digested. A damaged file is a finding and ends early; one that the system refuses ends the validation. */
  async function* chunksOf(file: number): AsyncGenerator<Uint8Array> {
    const hashes = tagAlgorithms.map((algorithm) => [algorithm, createHash(algorithm)] as const);
    try {
      for await (const chunk of source.readText(file)) {
        throwIfCancelled(signal);
        for (const [, hash] of hashes) hash.update(chunk);
        yield chunk;
      }
    } catch (error) {
      const code = systemCode(error);
      if (code === undefined) throw error;
      const finding = unreadableFinding(inventory.path(file), code);
      // Without what it says, all else would look wrong.
      if (finding.code === "FILE_UNREADABLE")
        throw asFailure(error, `${source.bagName}/${inventory.path(file)}`);
      findings.push(finding);
      return;
    }
    digests.set(file, Object.fromEntries(hashes.map(([name, hash]) => [name, hash.digest("hex")])));
  }

  const bagitTxt = inventory.find("bagit.txt");
  const declaration = parseBagitTxt(
    bagitTxt === undefined ? null : await collect(chunksOf(bagitTxt)),
    findings,
  );

  async function readLines(file: number, take: (lines: readonly string[]) => void): Promise<void> {
    const path = inventory.path(file);
    const problem: Parameters<typeof tagLines>[2] = (code, line) => {
      const fit = code === "TAG_FILE_BOM" && !declaration.strict ? "TAG_FILE_BOM_OLD" : code;
      findings.push(bagFinding(fit, { path, ...(line === 0 ? {} : { detail: `line ${line}` }) }));
    };
    for await (const lines of tagLines(chunksOf(file), declaration.encoding, problem)) take(lines);
  }

  const payloadManifests: ManifestTable[] = [];
  const tagManifests: ManifestTable[] = [];
  for (const { file, name } of names) {
    if (name === null) continue;
    const path = inventory.path(file);
    if (name.algorithm === null) {
      findings.push(bagFinding("ALGORITHM_UNKNOWN", { path }));
      await readLines(file, () => undefined);
      continue;
    }
    if (WEAK.has(name.algorithm))
      findings.push(bagFinding("ALGORITHM_WEAK", { path, actual: name.algorithm }));
    const table = new ManifestTable(path, name.kind, name.algorithm, inventory);
    await readLines(file, (lines) => table.read(lines, declaration.strict, findings));
    (name.kind === "payload" ? payloadManifests : tagManifests).push(table);
  }

  const fetch = new FetchList(inventory, declaration.strict, findings);
  const info = new BagInfoReader(declaration.infoFile, declaration.strict, findings);
  for (const { file, name } of names) {
    const path = inventory.path(file);
    if (name !== null || path === "bagit.txt") continue;
    if (path === "fetch.txt") await readLines(file, (lines) => fetch.read(lines));
    else if (path === declaration.infoFile) await readLines(file, (lines) => info.read(lines));
    // A name that means nothing in this version, such as package-info.txt in 1.0, is still a tag file.
    else await collect(chunksOf(file));
  }
  return {
    declaration,
    payloadManifests,
    payloadManifestPaths: names.flatMap(({ file, name }) =>
      name?.kind === "payload" ? [inventory.path(file)] : [],
    ),
    tagManifests,
    fetch,
    oxum: info.oxum(),
    digests,
    tagDigests: new Map(),
    tagAlgorithms,
  };
}

/** The first bytes of a file; the rest is read too, so that its digest is whole, and not kept. */
async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const kept: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    if (size < MAX_BAGIT_TXT) kept.push(chunk);
    size += chunk.length;
  }
  return Buffer.concat(kept);
}
