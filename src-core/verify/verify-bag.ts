import { join } from "node:path";
import type { Finding } from "../../src-contract/findings.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import { type BagValidation, validateBag } from "../bag/validate-bag.ts";
import { manifestLine } from "../bag/write-tags.ts";
import { asFailure } from "../failing.ts";
import { readManifest } from "../package/manifest-reader.ts";
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
    findings.push(...(await compareManifests(folder)));
  } catch (error) {
    const { failure } = asFailure(error);
    if (failure.code !== "MANIFEST_INVALID" && failure.code !== "PATH_NOT_FOUND") throw error;
    findings.push(sealFinding("MANIFEST_JSON", { path: "manifest.json", what: failure.message }));
  }
  return { ...bag, findings };
}

/** manifest.json and manifest-sha256.txt must list the same files in the same order with the same digests. */
async function compareManifests(folder: string): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const manifest = await readManifest(join(folder, "manifest.json"));
  const text = new ArchiveBytes(join(folder, "manifest-sha256.txt"));
  try {
    const lines = new TextLines(text, 0, text.size);
    for await (const records of manifest.files()) {
      for (const record of records) {
        const expected = manifestLine(record.sha256, record.path).slice(0, -1);
        const actual = lines.next();
        if (actual === expected) continue;
        findings.push(
          sealFinding("PAYLOAD_MANIFEST", { path: record.path, expected, actual: actual ?? "end of file" }),
        );
        return findings;
      }
    }
    const rest = lines.next();
    if (rest !== null) {
      findings.push(
        sealFinding("PAYLOAD_MANIFEST", {
          path: "manifest-sha256.txt",
          expected: "end of file",
          actual: rest,
        }),
      );
    }
    return findings;
  } finally {
    text.close();
  }
}
