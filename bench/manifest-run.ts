import type { FileRecord, ManifestHeader } from "../src-contract/manifest.ts";
import { readManifest } from "../src-core/package/manifest-reader.ts";
import { createManifestWriter } from "../src-core/package/manifest-writer.ts";

/**
 * Writes or reads a manifest.json of many files: `node bench/manifest-run.ts write|read FILE COUNT`. A process of its own, so that
 * its peak memory is the manifest's and no other.
 */
const [action, file = "", countText = ""] = process.argv.slice(2);
const count = Number(countText);
const SIZE = 4096;
const TIME = "2026-05-04T03:02:01.123456789Z";
const sha256 = "0123456789abcdef".repeat(4);

const header: ManifestHeader = {
  format: "strongroom-manifest/1",
  packageId: "01890a5d-ac96-774b-bcce-b302099a8057",
  name: "bench",
  engagement: "bench",
  created: TIME,
  sealed: TIME,
  device: "bench",
  program: "bench",
  sources: [{ name: "evidence", path: "/evidence" }],
  metadata: {},
  fileCount: count,
  payloadSize: count * SIZE,
};

function record(i: number): FileRecord {
  return {
    path: `data/evidence/case-${String(Math.floor(i / 500)).padStart(5, "0")}/record-${String(i).padStart(8, "0")}.json`,
    size: SIZE,
    sha256,
    offset: i * (SIZE + 512) + 512,
    mediaType: "application/json",
    modified: TIME,
    source: { born: TIME, owner: "1000:1000", mode: "0644" },
  };
}

async function write(): Promise<void> {
  const writer = await createManifestWriter(file, header, [], []);
  for (let i = 0; i < count; i++) writer.add(record(i));
  writer.finish();
}

async function read(): Promise<void> {
  let files = 0;
  const manifest = await readManifest(file);
  for await (const records of manifest.files()) files += records.length;
  if (files !== count) throw new Error(`${files} files were read where ${count} were written`);
}

await (action === "write" ? write() : read());
