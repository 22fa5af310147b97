import { readFile } from "node:fs/promises";
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

/**
 * Reads the source files of a reference package again, those that lie in [start, end) of its archive, and names every one that is
 * not as it was sealed; the tag files beside the plan are held against the seal. All lie in range when none is given.
 */
export async function verifyReference(
  local: LocalPackage,
  options: CallOptions,
  range?: { readonly start: number; readonly end: number },
): Promise<readonly Finding[]> {
  await requireBytes(local);
  const findings: Finding[] = [];
  const pool = createHashPool();
  const plan = new PlanReader(local.folder, local.name);
  try {
    const entries = plan.all();
    let pending: { record: FileRecord; entry: PlacedEntry }[] = [];
    let done = 0;
    const check = async () => {
      const jobs = pending.map(
        ({ record, entry }): DigestJob => ({
          path: entry.source,
          offset: 0,
          length: null,
          algorithms: record.sha512 === undefined ? ["sha256"] : ["sha256", "sha512"],
        }),
      );
      const results = await pool.run(jobs, options.signal === undefined ? {} : { signal: options.signal });
      for (const [i, { record }] of pending.entries()) findings.push(...compareDigests(record, results[i]));
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
        if (range === undefined || (entry.headerOffset < range.end && entry.end > range.start))
          pending.push({ record, entry });
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
