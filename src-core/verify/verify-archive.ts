import { stat } from "node:fs/promises";
import { basename } from "node:path";
import type { Finding } from "../../src-contract/findings.ts";
import type { FileRecord, ManifestHeader } from "../../src-contract/manifest.ts";
import type { CallOptions, CancelSignal } from "../../src-contract/progress.ts";
import type { Seal } from "../../src-contract/seal.ts";
import { openFileSource } from "../archive/file-source.ts";
import { createHashPool, type DigestJob, type HashPool } from "../digest/hash-pool.ts";
import type { Landing } from "../digest/landing.ts";
import { asFailure, FailureError } from "../failing.ts";
import { readManifest } from "../package/manifest-reader.ts";
import type { Layout, LayoutRequest } from "./check-layout.ts";
import { sealFinding } from "./seal-rules.ts";

export interface ArchiveVerification {
  readonly findings: readonly Finding[];
  readonly manifest: ManifestHeader | null;
}

/** Files whose digests are asked for in one go: with 20,000 the results alone take 60 MB more, and it is no faster. */
const FILES_AT_ONCE = 4_000;

export interface ArchiveToVerify {
  readonly archivePath: string;
  readonly seal: Seal;
  /** Hash every file too. */
  readonly full: boolean;
  /**
   * This device made exactly this seal, or found it true in full before: where the parts agree, so does its archiveSha256, which is
   * not computed again then.
   */
  readonly known: boolean;
  /** Whoever wrote the archive has held every part against the seal: they are not read again. */
  readonly partsVerified?: boolean;
}

/**
 * Verifies an archive against its seal: size, every part on all cores, headers = manifest.json = payload manifests = tag manifests.
 * Where a part differs, the files in it are hashed to name those that changed; `full` hashes every file. Never stops at a finding.
 */
export async function verifyArchive(
  request: ArchiveToVerify,
  options: CallOptions,
): Promise<ArchiveVerification> {
  const { archivePath, seal, full } = request;
  const { size } = await stat(archivePath).catch((error: unknown) => {
    throw asFailure(error, archivePath);
  });
  const findings: Finding[] = [];
  if (basename(archivePath) !== seal.archive) {
    findings.push(sealFinding("ARCHIVE_NAME", { expected: seal.archive, actual: basename(archivePath) }));
  }
  if (size !== seal.archiveSize) {
    findings.push(
      sealFinding("ARCHIVE_SIZE", { expected: `${seal.archiveSize} bytes`, actual: `${size} bytes` }),
    );
  }
  const pool = createHashPool();
  try {
    const layoutChecked = checkLayoutIn(pool, { archivePath, seal });
    // All at once: each file, and the archive, is one chain of work that no second core can share.
    const [layout, badParts, ofFiles, ofArchive] = await Promise.all([
      layoutChecked,
      request.partsVerified === true ? [] : verifyParts(pool, archivePath, seal, size, options),
      full ? layoutChecked.then((found) => verifyFiles(pool, archivePath, found, () => true, options)) : [],
      full && !request.known && size === seal.archiveSize
        ? verifyArchiveDigest(pool, archivePath, seal, options)
        : [],
    ]);
    for (const part of badParts) findings.push(part.finding);
    findings.push(...layout.findings, ...ofFiles);
    if (badParts.length === 0) findings.push(...ofArchive);
    else if (!full) {
      const wanted = (record: FileRecord) => badParts.some((part) => overlaps(record, part));
      findings.push(...(await verifyFiles(pool, archivePath, layout, wanted, options)));
    }
    return { findings, manifest: layout.manifest?.header ?? null };
  } finally {
    await pool.close();
  }
}

/** `landing`: the archive is still being written. */
interface DigestOptions extends CallOptions {
  readonly landing?: Landing;
}

interface BadPart {
  readonly start: number;
  readonly end: number;
  readonly finding: Finding;
}

function overlaps(record: FileRecord, part: BadPart): boolean {
  return record.offset < part.end && record.offset + record.size > part.start;
}

async function verifyParts(
  pool: HashPool,
  archivePath: string,
  seal: Seal,
  actualSize: number,
  options: CallOptions,
): Promise<readonly BadPart[]> {
  const ranges = seal.parts.map((sha256, i) => ({
    sha256,
    start: i * seal.partSize,
    end: Math.min((i + 1) * seal.partSize, seal.archiveSize),
  }));
  const jobs: DigestJob[] = ranges.map(({ start, end }) => ({
    path: archivePath,
    offset: start,
    length: end - start,
    algorithms: ["sha256"],
  }));
  let done = 0;
  const results = await pool.run(jobs, {
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    onBytes: (bytes) => {
      done += bytes;
      options.onProgress?.({
        phase: "verify",
        done,
        total: Math.min(seal.archiveSize, actualSize),
        unit: "bytes",
      });
    },
  });
  return ranges.flatMap(({ sha256, start, end }, i) => {
    const result = results[i];
    const actual = result?.ok ? result.digests.sha256 : `unreadable (${result?.code ?? "no result"})`;
    if (actual === sha256) return [];
    const what = `part ${i + 1} of ${ranges.length}, bytes ${start} to ${end - 1}`;
    return [
      {
        start,
        end,
        finding: sealFinding("PART_DIGEST", { expected: sha256, actual: actual ?? "none", what }),
      },
    ];
  });
}

async function verifyArchiveDigest(
  pool: HashPool,
  archivePath: string,
  seal: Seal,
  { signal }: CallOptions,
): Promise<readonly Finding[]> {
  if (seal.archiveSha256 === undefined) return [];
  const [result] = await pool.run(
    [{ path: archivePath, offset: 0, length: seal.archiveSize, algorithms: ["sha256"] }],
    signal === undefined ? {} : { signal },
  );
  const actual = result?.ok ? result.digests.sha256 : undefined;
  if (actual === seal.archiveSha256) return [];
  return [sealFinding("ARCHIVE_DIGEST", { expected: seal.archiveSha256, actual: actual ?? "unreadable" })];
}

async function manifestRange(archivePath: string, offset: number, size: number) {
  const file = await openFileSource(archivePath);
  return {
    size,
    read: (at: number, target: Uint8Array, signal?: CancelSignal) => file.read(offset + at, target, signal),
    close: () => file.close(),
  };
}

/** Holds the files of an archive against its manifest.json, or answers nothing where that cannot be read, which is a finding already. */
async function verifyFiles(
  pool: HashPool,
  archivePath: string,
  layout: Layout,
  wanted: (record: FileRecord) => boolean,
  options: CallOptions,
): Promise<readonly Finding[]> {
  if (layout.manifest === null) return [];
  const source = await manifestRange(archivePath, layout.manifest.contentOffset, layout.manifest.size);
  try {
    return await compareFiles(pool, archivePath, source, wanted, options);
  } finally {
    await source.close();
  }
}

export async function compareFiles(
  pool: HashPool,
  archivePath: string,
  manifestSource: Parameters<typeof readManifest>[0],
  wanted: (record: FileRecord) => boolean,
  { signal, landing }: DigestOptions,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  let pending: FileRecord[] = [];
  const check = async () => {
    const jobs: DigestJob[] = pending.map((record) => ({
      path: archivePath,
      offset: record.offset,
      length: record.size,
      algorithms: record.sha512 === undefined ? ["sha256"] : ["sha256", "sha512"],
    }));
    const results = await pool.run(jobs, { ...(signal === undefined ? {} : { signal }), landing });
    for (const [i, record] of pending.entries()) findings.push(...compareDigests(record, results[i]));
    pending = [];
  };
  const manifest = await readManifest(manifestSource);
  for await (const records of manifest.files()) {
    for (const record of records) if (wanted(record)) pending.push(record);
    if (pending.length >= FILES_AT_ONCE) await check();
  }
  await check();
  return findings;
}

/** A file's digests as read against those in manifest.json. */
export function compareDigests(
  record: FileRecord,
  result: Awaited<ReturnType<HashPool["run"]>>[number] | undefined,
): Finding[] {
  if (!result?.ok) {
    return [
      sealFinding("FILE_MISSING", {
        path: record.path,
        expected: record.sha256,
        what: result?.code ?? "no result",
      }),
    ];
  }
  if (result.size !== record.size) {
    return [
      sealFinding("FILE_DIGEST", {
        path: record.path,
        expected: `${record.size} bytes`,
        actual: `${result.size} bytes`,
      }),
    ];
  }
  const { sha256, sha512 } = result.digests;
  if (sha256 !== record.sha256) {
    return [
      sealFinding("FILE_DIGEST", { path: record.path, expected: record.sha256, actual: sha256 ?? "none" }),
    ];
  }
  if (record.sha512 !== undefined && sha512 !== record.sha512) {
    return [
      sealFinding("FILE_DIGEST", { path: record.path, expected: record.sha512, actual: sha512 ?? "none" }),
    ];
  }
  return [];
}

/** Checks headers and manifests while other threads hash. */
export async function checkLayoutIn(pool: HashPool, request: LayoutRequest): Promise<Layout> {
  const outcome = await pool.perform<Layout>(new URL("./layout-task.ts", import.meta.url), request);
  if (outcome.ok) return outcome.value;
  throw new FailureError(outcome.failure);
}
