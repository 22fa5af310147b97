import { lstat, readFile } from "node:fs/promises";
import type { Finding } from "../../src-contract/findings.ts";
import type { FileRecord } from "../../src-contract/manifest.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import { createHashPool, type DigestJob, type HashPool } from "../digest/hash-pool.ts";
import { readManifest } from "../package/manifest-reader.ts";
import { type LocalPackage, requireBytes } from "../package/package-store.ts";
import { type PlacedEntry, PlanReader } from "../package/plan-file.ts";
import { type SealRule, sealFinding } from "./seal-rules.ts";
import { compareDigests } from "./verify-archive.ts";

const FILES_AT_ONCE = 20_000;

/** Archive bytes [start, end) that are known not to be the sealed ones; none where both are the same. */
export interface Mismatch {
  readonly start: number;
  readonly end: number;
}

/**
 * Reads the source files of a reference package again and names every one that is not as it was sealed; the tag files beside the plan are held
 * against the seal. Where a mismatch is known, no file is read without need: only those that lie there, and those that the system describes otherwise
 * than when they were sealed, since the change time moves with every write.
 */
export async function verifyReference(
  local: LocalPackage,
  options: CallOptions,
  mismatch?: Mismatch,
): Promise<readonly Finding[]> {
  await requireBytes(local);
  const findings: Finding[] = [];
  const pool = createHashPool();
  const plan = new PlanReader(local.folder, local.name);
  try {
    const entries = plan.all();
    const suspicion = mismatch === undefined ? undefined : suspicionOf(plan, mismatch);
    let pending: Pending[] = [];
    let done = 0;
    const check = async () => {
      const unread = pending.filter(({ known }) => known === null);
      const jobs = unread.map(
        ({ record, entry }): DigestJob => ({
          path: entry.source,
          offset: 0,
          length: null,
          algorithms: record.sha512 === undefined ? ["sha256"] : ["sha256", "sha512"],
        }),
      );
      const results = await pool.run(jobs, options.signal === undefined ? {} : { signal: options.signal });
      const found = new Map(unread.map((each, i) => [each, compareDigests(each.record, results[i])]));
      findings.push(...pending.flatMap((each) => each.known ?? found.get(each) ?? []));
      done += pending.length;
      options.onProgress?.({ phase: "verify", done, unit: "files" });
      pending = [];
    };
    const manifest = await readManifest(local.manifestFile);
    for await (const records of manifest.files()) {
      for (const record of records) {
        const entry = entries.next().value as PlacedEntry | undefined;
        if (entry === undefined || entry.path !== record.path) {
          findings.push(
            sealFinding("HEADER", {
              path: record.path,
              what: "the plan on this device is of another package",
            }),
          );
          return findings;
        }
        const known = suspicion === undefined ? null : await suspicion(entry, record);
        if (known !== "untouched") pending.push({ record, entry, known });
      }
      if (pending.length >= FILES_AT_ONCE) await check();
    }
    await check();
    findings.push(...(await verifyTagFiles(local, pool)));
    return findings;
  } finally {
    plan.close();
    await pool.close();
  }
}

interface Pending {
  readonly record: FileRecord;
  readonly entry: PlacedEntry;
  /** What is wrong with it, where that is known without reading it. */
  readonly known: Finding | null;
}

/** Tells what is known of a file without reading it: that it was changed, that it was not touched, or nothing. */
function suspicionOf(plan: PlanReader, { start, end }: Mismatch) {
  const there = new Set<string>();
  if (start < end) for (const { path } of plan.within(start, end)) there.add(path);
  return async (entry: PlacedEntry, record: FileRecord): Promise<Finding | "untouched" | null> => {
    const { path, sha256: expected } = record;
    const size = await sizeIfTouched(entry);
    if (size === null) return there.has(path) ? null : "untouched";
    if (size !== undefined && size !== entry.size)
      return sealFinding("FILE_DIGEST", { path, expected: `${entry.size} bytes`, actual: `${size} bytes` });
    // All of a part and more: no need to read, say, 100 GiB for a digest that nobody asked for.
    const fills = there.has(path) && entry.contentOffset <= start && entry.contentOffset + entry.size >= end;
    if (!fills) return null;
    const what = `it was written to, and is not what was sealed from byte ${start - entry.contentOffset} on`;
    return sealFinding("FILE_DIGEST", { path, expected, what });
  };
}

/** The size of a file that is not as the system described it when it was sealed; null when it is, and undefined when it cannot be looked at. */
async function sizeIfTouched(entry: PlacedEntry): Promise<number | null | undefined> {
  try {
    const found = await lstat(entry.source, { bigint: true });
    if (!found.isFile()) return undefined;
    const same =
      found.ino === entry.inode &&
      found.mtimeNs === entry.modifiedNs &&
      found.ctimeNs === entry.changedNs &&
      Number(found.size) === entry.size;
    return same ? null : Number(found.size);
  } catch {
    // Why, the reading that follows will say.
    return undefined;
  }
}

/** The seal fixes manifest.json and the tag manifest, which lists all other tag files. */
async function verifyTagFiles(local: LocalPackage, pool: HashPool): Promise<readonly Finding[]> {
  const fixed = await compareTagFiles(local, pool, [
    { path: "manifest.json", code: "MANIFEST_JSON_DIGEST", expected: local.seal.manifestSha256 },
    { path: "tagmanifest-sha256.txt", code: "TAG_MANIFEST_DIGEST", expected: local.seal.tagmanifestSha256 },
  ]);
  if (fixed.length > 0) return fixed;
  const lines = (await readFile(`${local.folder}/tagmanifest-sha256.txt`, "utf8")).trimEnd().split("\n");
  return compareTagFiles(
    local,
    pool,
    lines.map((line) => ({ path: line.slice(66), code: "TAG_MANIFEST", expected: line.slice(0, 64) })),
  );
}

async function compareTagFiles(
  local: LocalPackage,
  pool: HashPool,
  files: readonly { readonly path: string; readonly code: SealRule; readonly expected: string }[],
): Promise<readonly Finding[]> {
  const results = await pool.run(
    files.map(({ path }) => ({
      path: `${local.folder}/${path}`,
      offset: 0,
      length: null,
      algorithms: ["sha256"],
    })),
  );
  return files.flatMap(({ path, code, expected }, i) => {
    const result = results[i];
    const actual = result?.ok
      ? (result.digests.sha256 ?? "none")
      : `unreadable (${result?.code ?? "no result"})`;
    return actual === expected ? [] : [sealFinding(code, { path, expected, actual })];
  });
}
