import type { Finding } from "../../src-contract/findings.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { DigestAlgorithm, DigestResult } from "../digest/hash-pool.ts";
import { type BagSource, type Inventory, isReadAsText } from "./inventory.ts";
import type { ManifestTable } from "./manifest-table.ts";
import type { TagFiles } from "./read-tag-files.ts";
import { countProgress } from "./report-progress.ts";
import { bagFinding, unreadableFinding } from "./rules.ts";

/** Digests every listed payload file and every tag file, each byte once for all algorithms, and compares with all manifests. */
export async function checkDigests(
  source: BagSource,
  read: TagFiles,
  findings: Finding[],
  options: CallOptions,
): Promise<void> {
  const { inventory } = source;
  for (const [file, digests] of read.digests) settleTag(file, digests);

  function settleTag(file: number, digests: Partial<Record<DigestAlgorithm, string>>): void {
    if (digests.sha256 !== undefined) read.tagDigests.set(inventory.path(file), digests.sha256);
    compare(inventory, file, digests, read.tagManifests, "TAG_DIGEST_MISMATCH", findings);
  }

  const files: number[] = [];
  let bytes = 0;
  const algorithms = algorithmsBySet(read.payloadManifests);
  for (let file = 0; file < inventory.count; file += 1) {
    // What was read as text was digested then, or has its finding.
    if (!inventory.isPresent(file) || isReadAsText(inventory.path(file))) continue;
    if (inventory.isPayload(file) && algorithms(file).length === 0) continue;
    files.push(file);
    bytes += inventory.size(file);
  }

  const progress = countProgress("verify", "bytes", bytes, options);
  await source.digest(
    {
      files: Uint32Array.from(files),
      algorithms: (file) => (inventory.isPayload(file) ? algorithms(file) : read.tagAlgorithms),
      onResult: (file: number, result: DigestResult) => {
        const path = inventory.path(file);
        if (!result.ok) findings.push(unreadableFinding(path, result.code));
        else if (inventory.isPayload(file)) {
          const { payloadManifests } = read;
          compare(inventory, file, result.digests, payloadManifests, "PAYLOAD_DIGEST_MISMATCH", findings);
        } else settleTag(file, result.digests);
      },
    },
    { ...(options.signal === undefined ? {} : { signal: options.signal }), onBytes: progress.add },
  );
  progress.finish();
}

function compare(
  inventory: Inventory,
  file: number,
  digests: Partial<Record<DigestAlgorithm, string>>,
  tables: readonly ManifestTable[],
  code: "PAYLOAD_DIGEST_MISMATCH" | "TAG_DIGEST_MISMATCH",
  findings: Finding[],
): void {
  for (const table of tables) {
    if (!table.lists(file)) continue;
    const expected = table.digest(file);
    const actual = digests[table.algorithm];
    if (actual === undefined || actual === expected) continue;
    findings.push(bagFinding(code, { path: inventory.path(file), expected, actual, detail: table.path }));
  }
}

/** The algorithms of the manifests that list a file. Files that the same manifests list share one array. */
function algorithmsBySet(tables: readonly ManifestTable[]): (file: number) => readonly DigestAlgorithm[] {
  const known = new Map<string, readonly DigestAlgorithm[]>();
  return (file) => {
    let key = "";
    for (const table of tables) key += table.lists(file) ? "1" : "0";
    const made = known.get(key);
    if (made !== undefined) return made;
    const algorithms = [...new Set(tables.filter((table) => table.lists(file)).map((t) => t.algorithm))];
    known.set(key, algorithms);
    return algorithms;
  };
}
