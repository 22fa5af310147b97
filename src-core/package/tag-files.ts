import { lstatSync } from "node:fs";
import { MANIFEST_FORMAT } from "../../src-contract/formats.ts";
import type { FileRecord, ManifestHeader } from "../../src-contract/manifest.ts";
import { bagitTxt, manifestLine, sealedBagInfoTxt } from "../bag/write-tags.ts";
import { DigestedFile, type FileDigests } from "./digested-file.ts";
import { mediaTypes } from "./media-type.ts";
import { type PlacedEntry, type PlanEntry, planEntry } from "./plan-file.ts";
import type { SealJob } from "./seal-job.ts";
import type { EntryDigests } from "./seal-threads.ts";
import { rfc3339, rfc3339FromMs } from "./times.ts";
import type { WalkResult } from "./walk-sources.ts";

const BESIDE_THE_PLAN = Buffer.alloc(0);

/** A file of the bag that is not payload, written beside the plan. */
export interface TagFile {
  readonly name: string;
  readonly digests: FileDigests;
}

/** What manifest.json says of the package as a whole. `sealed` is RFC 3339, UTC. */
export function manifestHeader(job: SealJob, walk: WalkResult, sealed: string): ManifestHeader {
  const { title, producer, subject, phase, retentionClass, metadata } = job.described;
  return {
    format: MANIFEST_FORMAT,
    packageId: job.packageId,
    name: job.name,
    ...(title === undefined ? {} : { title }),
    engagement: job.engagement,
    ...(producer === undefined ? {} : { producer }),
    ...(subject === undefined ? {} : { subject }),
    ...(phase === undefined ? {} : { phase }),
    ...(retentionClass === undefined ? {} : { retentionClass }),
    created: rfc3339FromMs(job.created),
    sealed,
    device: job.device,
    program: job.program,
    sources: [...walk.sources],
    metadata: { ...metadata },
    fileCount: walk.files,
    payloadSize: walk.bytes,
  };
}

/** A file's line in manifest.json. `rawPath` is hex of a name that is not Unicode, else null. */
export function fileRecord(entry: PlacedEntry, digests: EntryDigests, rawPath: string | null): FileRecord {
  const { type, byName } = mediaTypes(digests.kind, entry.path, entry.size);
  return {
    path: entry.path,
    size: entry.size,
    sha256: digests.sha256,
    sha512: digests.sha512 ?? undefined,
    offset: entry.contentOffset,
    mediaType: type,
    mediaTypeByName: byName ?? undefined,
    modified: rfc3339(entry.modifiedNs),
    source: {
      born: entry.bornNs === 0n ? undefined : rfc3339(entry.bornNs),
      owner: `${entry.uid}:${entry.gid}`,
      mode: (entry.mode & 0o7777).toString(8).padStart(4, "0"),
      rawPath: rawPath ?? undefined,
    },
  };
}

/**
 * Writes the tag files beside `manifests` (manifest.json and the payload manifests, which are written). Answers with all, in archive order:
 * bagit.txt, bag-info.txt, manifest.json, payload manifests, tag manifests.
 */
export function writeTagFiles(
  folder: string,
  { sha512, client }: Pick<SealJob, "sha512" | "client">,
  header: ManifestHeader,
  manifests: readonly TagFile[],
): readonly TagFile[] {
  const text = (name: string, content: string): TagFile => {
    const file = new DigestedFile(`${folder}/${name}`, sha512);
    file.write(content);
    return { name, digests: file.finish() };
  };
  const tags = [
    text("bagit.txt", bagitTxt()),
    text("bag-info.txt", sealedBagInfoTxt(header, client)),
    ...manifests,
  ];
  const tagManifest = (digest: (digests: FileDigests) => string) =>
    tags.map(({ name, digests }) => manifestLine(digest(digests), name)).join("");
  const tagManifests = [
    text(
      "tagmanifest-sha256.txt",
      tagManifest((digests) => digests.sha256),
    ),
  ];
  if (sha512)
    tagManifests.push(
      text(
        "tagmanifest-sha512.txt",
        tagManifest((digests) => digests.sha512 ?? ""),
      ),
    );
  return [...tags, ...tagManifests];
}

/** A tag file's time in the archive is the time of sealing (RFC 3339), whatever the file system makes of it. */
export function tagEntry(folder: string, name: string, sealed: string): PlanEntry {
  const stats = lstatSync(`${folder}/${name}`, { bigint: true });
  return {
    ...planEntry(name, BESIDE_THE_PLAN, stats),
    modifiedNs: BigInt(Date.parse(sealed)) * 1_000_000n,
  };
}

/** SHA-256 of one of the tag files. */
export function digestOf(tags: readonly TagFile[], name: string): string {
  const tag = tags.find((candidate) => candidate.name === name);
  if (tag === undefined) throw new Error(`no tag file ${name}`);
  return tag.digests.sha256;
}
