import { statfsSync, writeFileSync } from "node:fs";
import { ARCHIVE_LAYOUT, MAX_PARTS, SEAL_FORMAT } from "../../src-contract/formats.ts";
import type { ManifestHeader } from "../../src-contract/manifest.ts";
import type { Progress } from "../../src-contract/progress.ts";
import type { Seal } from "../../src-contract/seal.ts";
import { choosePartSize } from "../archive/part-plan.ts";
import { TRAILER_SIZE } from "../archive/tar-layout.ts";
import { manifestLine } from "../bag/write-tags.ts";
import { syncFiles } from "../durable-files.ts";
import { fail } from "../failing.ts";
import { DigestedFile } from "./digested-file.ts";
import { createManifestWriter } from "./manifest-writer.ts";
import { type PlacedEntry, PlanReader, PlanWriter } from "./plan-file.ts";
import { rawPathOf } from "./raw-names.ts";
import { sealBytes } from "./seal-bytes.ts";
import type { SealedDraft, SealJob } from "./seal-job.ts";
import type { EntryDigests, SealThreads } from "./seal-threads.ts";
import { digestOf, fileRecord, manifestHeader, type TagFile, tagEntry, writeTagFiles } from "./tag-files.ts";
import { rfc3339FromMs } from "./times.ts";
import { SourceWalk, type WalkResult } from "./walk-sources.ts";

/** How often the walk tells the sealing threads how far it is. */
const FILES_AHEAD = 512;

/** Walks the sources and reports; writes nothing. */
export function dryRun(
  job: SealJob,
  report: (progress: Progress) => void,
  checkCancelled: () => void,
): SealedDraft {
  const walk = new SourceWalk(job.walk, () => undefined, walkProgress(report, checkCancelled)).run();
  return { preflight: preflightReport(walk), sealBytes: null, sealed: "" };
}

function walkProgress(report: (progress: Progress) => void, checkCancelled: () => void) {
  return (files: number) => {
    if (files % 1024 !== 0) return;
    checkCancelled();
    report({ phase: "walk", done: files, unit: "files" });
  };
}

function preflightReport(walk: WalkResult) {
  return {
    files: walk.files,
    bytes: walk.bytes,
    emptyFolders: walk.emptyFolders.length,
    omitted: walk.omitted.length,
    findings: walk.findings.all(),
  };
}

/** One sealing, from the walk to the synced seal, with threads that are already starting. */
export class Sealing {
  readonly #job: SealJob;
  readonly #folder: string;
  readonly #threads: SealThreads;
  readonly #report: (progress: Progress) => void;
  readonly #checkCancelled: () => void;

  constructor(
    job: SealJob,
    folder: string,
    threads: SealThreads,
    report: (progress: Progress) => void,
    checkCancelled: () => void,
  ) {
    this.#job = job;
    this.#folder = folder;
    this.#threads = threads;
    this.#report = report;
    this.#checkCancelled = checkCancelled;
  }

  /** `archive` is the name of the archive in the draft's folder, which is there and empty; null in reference mode. */
  async run(archive: string | null): Promise<SealedDraft> {
    this.#report({ phase: "walk", done: 0, unit: "files" });
    const plan = new PlanWriter(this.#folder, this.#job.name);
    const walk = new SourceWalk(this.#job.walk, (entry) => plan.add(entry), this.#walked(plan)).run();
    const preflight = preflightReport(walk);
    refuseBlocked(preflight.findings);
    // A source that changes between being listed and being read is refused, so no content is newer than this.
    const sealed = rfc3339FromMs(Date.now());
    const payloadEnd = plan.archiveOffset;
    const partSize = choosePartSize(payloadEnd);
    plan.flush();
    if (archive !== null) this.#refuseFullDisk(payloadEnd);

    this.#report({ phase: "hash", done: 0, total: payloadEnd, unit: "bytes" });
    const header = manifestHeader(this.#job, walk, sealed);
    const manifests = await this.#hashPayload(walk, header, { start: 0, end: payloadEnd, partSize });
    this.#report({ phase: "write manifest", done: walk.files, total: walk.files, unit: "files" });
    const tags = writeTagFiles(this.#folder, this.#job, header, manifests);
    for (const tag of tags) plan.add(tagEntry(this.#folder, tag.name, sealed));
    const archiveSize = plan.archiveOffset + TRAILER_SIZE;
    plan.close();
    if (Math.ceil(archiveSize / partSize) > MAX_PARTS) {
      throw fail(
        "PACKAGE_TOO_LARGE",
        `The manifests of ${walk.files} files do not fit into the part plan.`,
        "Split the evidence into several packages.",
      );
    }
    await this.#threads.run(
      { start: payloadEnd, end: archiveSize, partSize },
      () => undefined,
      () => undefined,
    );
    const { parts, archiveSha256 } = await this.#threads.finish();
    const seal: Seal = {
      format: SEAL_FORMAT,
      packageId: this.#job.packageId,
      engagement: this.#job.engagement,
      archive: `${this.#job.name}.tar`,
      archiveLayout: ARCHIVE_LAYOUT,
      digestAlgorithm: "sha256",
      archiveSize,
      partSize,
      parts,
      manifestSha256: digestOf(tags, "manifest.json"),
      tagmanifestSha256: digestOf(tags, "tagmanifest-sha256.txt"),
      ...(archiveSha256 === null ? {} : { archiveSha256 }),
      encryption: null,
    };
    const bytes = sealBytes(seal);
    writeFileSync(`${this.#folder}/seal.json`, bytes, { flag: "wx", mode: 0o644 });
    // A copied package needs its plan no longer.
    const kept = archive === null ? ["plan.records", "plan.index", "seal.json"] : [archive, "seal.json"];
    await syncFiles([...tags.map((tag) => tag.name), ...kept].map((name) => `${this.#folder}/${name}`));
    return { preflight, sealBytes: bytes, sealed };
  }

  /** Sealing begins with what is walked already: a walk keeps one core busy, and the digests are for the others. */
  #walked(plan: PlanWriter): (files: number) => void {
    const progress = walkProgress(this.#report, this.#checkCancelled);
    return (files) => {
      progress(files);
      if (files % FILES_AHEAD !== 0) return;
      plan.flush();
      this.#threads.ahead(plan.archiveOffset, choosePartSize(plan.archiveOffset));
    };
  }

  #refuseFullDisk(payloadEnd: number): void {
    const { bavail, bsize } = statfsSync(this.#folder);
    if (bavail * bsize >= payloadEnd) return;
    throw fail(
      "DISK_FULL",
      `The package needs ${payloadEnd} bytes; ${this.#folder} has ${bavail * bsize} free.`,
      "Free some space, set STRONGROOM_HOME to a larger disk, or seal with --reference, which copies nothing.",
      { subject: this.#folder, details: { needed: payloadEnd, free: bavail * bsize } },
    );
  }

  async #hashPayload(
    walk: WalkResult,
    header: ManifestHeader,
    region: { readonly start: number; readonly end: number; readonly partSize: number },
  ): Promise<readonly TagFile[]> {
    const { sha512 } = this.#job;
    const { storeNonUnicode } = this.#job.walk;
    const manifest = await createManifestWriter(
      `${this.#folder}/manifest.json`,
      header,
      walk.emptyFolders,
      walk.omitted,
      { sha512 },
    );
    const sha256Manifest = new DigestedFile(`${this.#folder}/manifest-sha256.txt`, sha512);
    const sha512Manifest = sha512 ? new DigestedFile(`${this.#folder}/manifest-sha512.txt`, sha512) : null;
    const plan = new PlanReader(this.#folder, this.#job.name);
    try {
      const entries = plan.all();
      const take = (digests: EntryDigests) => {
        const entry = entries.next().value as PlacedEntry;
        manifest.add(fileRecord(entry, digests, storeNonUnicode ? rawPathOf(entry.path) : null));
        sha256Manifest.write(manifestLine(digests.sha256, entry.path));
        sha512Manifest?.write(manifestLine(digests.sha512 ?? "", entry.path));
      };
      await this.#threads.run(region, take, (bytes) => {
        this.#report({ phase: "hash", done: bytes, total: region.end, unit: "bytes" });
      });
    } catch (error) {
      manifest.discard();
      throw error;
    } finally {
      plan.close();
    }
    const tags: TagFile[] = [
      { name: "manifest.json", digests: manifest.finish() },
      { name: "manifest-sha256.txt", digests: sha256Manifest.finish() },
    ];
    if (sha512Manifest !== null) tags.push({ name: "manifest-sha512.txt", digests: sha512Manifest.finish() });
    return tags;
  }
}

function refuseBlocked(findings: SealedDraft["preflight"]["findings"]): void {
  const blocking = findings.filter((finding) => finding.severity === "error");
  const first = blocking[0];
  if (first === undefined) return;
  throw fail(
    "PREFLIGHT_BLOCKED",
    blocking.length === 1
      ? `Nothing was sealed: ${first.path ?? ""}: ${first.message}`
      : `Nothing was sealed: ${blocking.length} findings forbid it. The first: ${first.path ?? ""}: ${first.message}`,
    "Settle the findings of severity error (--dry-run lists them all), then run the command again.",
    { ...(first.path === undefined ? {} : { subject: first.path }), details: { findings: blocking } },
  );
}
