import { createHash } from "node:crypto";
import { closeSync, copyFileSync, ftruncateSync, mkdirSync, openSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { MANIFEST_FORMAT } from "../../src-contract/formats.ts";
import type { FileRecord, ManifestHeader } from "../../src-contract/manifest.ts";
import type { Seal } from "../../src-contract/seal.ts";
import { createManifestWriter } from "../package/manifest-writer.ts";
import { sealBytes } from "../package/seal-bytes.ts";
import { packageKeys } from "../vault/vault-keys.ts";

const TIME = "2026-05-04T03:02:01.5Z";
const PART = 16 * 1024 * 1024;

export interface Forged {
  readonly packageId: string;
  readonly engagement: string;
  readonly name: string;
  readonly files: number;
  readonly header?: Partial<ManifestHeader>;
  readonly seal?: Partial<Seal>;
  /** Path of file number i; in ascending order. */
  readonly path?: (i: number) => string;
}

/** Bytes of one such file in the archive, header and padding included. */
const SPAN = 1024;

/**
 * Puts a package into a folder vault of which nothing but its archive is wrong: seal and manifest are sound and fit each other, the archive is a hole
 * of the right size. So a package of a million files is there in seconds. Answers with its keys.
 */
export async function forgeStored(vault: string, forged: Forged): Promise<ReturnType<typeof packageKeys>> {
  const { packageId, engagement, name, files } = forged;
  const path =
    forged.path ?? ((i: number) => `data/ev/folder-${pad(Math.floor(i / 1000))}/item-${pad(i)}.json`);
  const keys = packageKeys(engagement, packageId, name);
  const header: ManifestHeader = {
    ...{ format: MANIFEST_FORMAT, packageId, name, engagement, created: TIME, sealed: TIME },
    ...{ device: "laptop", program: "strongroom 0.1.0", sources: [{ name: "ev", path: "/evidence" }] },
    ...{ metadata: {}, fileCount: files, payloadSize: files },
    ...forged.header,
  };
  mkdirSync(join(vault, keys.prefix), { recursive: true });
  // Not an object of the vault while it is written.
  const draft = join(vault, dirname(keys.prefix), `.${packageId}`);
  const writer = await createManifestWriter(draft, header, [], []);
  for (let i = 0; i < files; i++) writer.add(record(path(i), i));
  const written = writer.finish();
  copyFileSync(draft, join(vault, keys.manifest));
  rmSync(draft);
  const archiveSize = (files + 4) * SPAN + Math.ceil(written.size / 512) * 512;
  const seal: Seal = {
    ...{ format: "strongroom-seal/1", packageId, engagement, archive: `${name}.tar`, archiveLayout: 1 },
    ...{ digestAlgorithm: "sha256", archiveSize, partSize: PART },
    parts: Array.from({ length: Math.ceil(archiveSize / PART) }, (_, i) => digest(`part ${i}`)),
    ...{ manifestSha256: written.sha256, tagmanifestSha256: digest("tags"), encryption: null },
    ...forged.seal,
  };
  const archive = openSync(join(vault, keys.archive), "w");
  ftruncateSync(archive, archiveSize);
  closeSync(archive);
  writeFileSync(join(vault, keys.seal), sealBytes(seal));
  return keys;
}

function record(path: string, i: number): FileRecord {
  return {
    ...{ path, size: 1, sha256: digest(`${i}`), offset: i * SPAN + 512, mediaType: "application/json" },
    ...{ modified: TIME, source: { owner: "1000:1000", mode: "0644" } },
  };
}

const pad = (i: number) => String(i).padStart(7, "0");
const digest = (text: string) => createHash("sha256").update(text).digest("hex");
