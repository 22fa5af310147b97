import { join } from "node:path";
import type { Finding } from "../../src-contract/findings.ts";
import type { FileRecord } from "../../src-contract/manifest.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { Seal } from "../../src-contract/seal.ts";
import { type BagValidation, validateBag } from "../bag/validate-bag.ts";
import { manifestLine } from "../bag/write-tags.ts";
import { exists } from "../durable-files.ts";
import { asFailure } from "../failing.ts";
import { readManifest } from "../package/manifest-reader.ts";
import { packageName } from "../package/package-name.ts";
import { ArchiveBytes } from "./archive-bytes.ts";
import type { FoundSeal } from "./find-target.ts";
import { sealFinding } from "./seal-rules.ts";
import { TextLines } from "./text-lines.ts";

/**
 * Validates an unpacked bag and holds it against its seal: the sealed tag manifest fixes all tag files, they fix the payload.
 * A file that was not sealed, at any place in the bag, is an error here, though BagIt allows additional tag files.
 */
export async function verifySealedBag(
  folder: string,
  { seal }: FoundSeal,
  options: CallOptions,
): Promise<BagValidation> {
  const bag = await validateBag(folder, options);
  const findings: Finding[] = [...bag.findings];
  const compare = (code: "TAG_MANIFEST_DIGEST" | "MANIFEST_JSON_DIGEST", path: string, expected: string) => {
    const actual = bag.tagFiles.get(path);
    if (actual !== expected)
      findings.push(sealFinding(code, { path, expected, actual: actual ?? "not there" }));
  };
  compare("TAG_MANIFEST_DIGEST", "tagmanifest-sha256.txt", seal.tagmanifestSha256);
  compare("MANIFEST_JSON_DIGEST", "manifest.json", seal.manifestSha256);
  for (const path of bag.unlistedTagFiles) findings.push(sealFinding("UNSEALED_FILE", { path }));
  try {
    findings.push(...(await compareManifests(folder, seal)));
  } catch (error) {
    const { failure } = asFailure(error);
    if (failure.code !== "MANIFEST_INVALID" && failure.code !== "PATH_NOT_FOUND") throw error;
    findings.push(sealFinding("MANIFEST_JSON", { path: "manifest.json", what: failure.message }));
  }
  return { ...bag, findings };
}

/** manifest.json must be of the sealed package, and list the same files in the same order with the same digests as each payload manifest. */
async function compareManifests(folder: string, seal: Seal): Promise<readonly Finding[]> {
  const { header } = await readManifest(join(folder, "manifest.json"));
  const expected = `${seal.packageId} ${packageName(seal)} ${seal.engagement}`;
  const actual = `${header.packageId} ${header.name} ${header.engagement}`;
  const findings =
    expected === actual
      ? []
      : [sealFinding("MANIFEST_IDENTITY", { path: "manifest.json", expected, actual })];
  findings.push(...(await comparePayloadManifest(folder, "manifest-sha256.txt", (record) => record.sha256)));
  if (await exists(join(folder, "manifest-sha512.txt"))) {
    findings.push(
      ...(await comparePayloadManifest(folder, "manifest-sha512.txt", (record) => record.sha512 ?? "")),
    );
  }
  return findings;
}

/** Stops at the first difference: what follows it is shifted and would be reported again and again. */
async function comparePayloadManifest(
  folder: string,
  name: string,
  digest: (record: FileRecord) => string,
): Promise<readonly Finding[]> {
  const manifest = await readManifest(join(folder, "manifest.json"));
  const text = new ArchiveBytes(join(folder, name));
  try {
    const lines = new TextLines(text, 0, text.size);
    for await (const records of manifest.files()) {
      for (const record of records) {
        const expected = manifestLine(digest(record), record.path).slice(0, -1);
        const actual = lines.next();
        if (actual === expected) continue;
        return [
          sealFinding("PAYLOAD_MANIFEST", {
            path: record.path,
            expected,
            actual: actual ?? "end of file",
            what: name,
          }),
        ];
      }
    }
    const rest = lines.next();
    if (rest === null) return [];
    return [sealFinding("PAYLOAD_MANIFEST", { path: name, expected: "end of file", actual: rest })];
  } finally {
    text.close();
  }
}
