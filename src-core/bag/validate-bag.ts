import type { Finding } from "../../src-contract/findings.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import { throwIfCancelled } from "../failing.ts";
import type { Oxum } from "./bag-info.ts";
import { checkDigests } from "./check-digests.ts";
import { checkCompleteness, checkNames } from "./check-files.ts";
import type { BagSource } from "./inventory.ts";
import { openBagSource } from "./open-bag-source.ts";
import { readTagFiles } from "./read-tag-files.ts";
import { bagFinding } from "./rules.ts";

export interface BagValidation {
  /** Name of the bag's base folder. */
  readonly bagName: string;
  readonly form: BagSource["form"];
  /** As declared in bagit.txt; null when there is none to be read. */
  readonly bagitVersion: string | null;
  /** All findings; the bag is valid when none of them is an error. */
  readonly findings: readonly Finding[];
  /** Payload files that are there, and their size in bytes. */
  readonly counts: { readonly files: number; readonly bytes: number };
  /** SHA-256, lower-case hex, of every tag file that could be read, by path. The manifests were parsed from these very bytes. */
  readonly tagFiles: ReadonlyMap<string, string>;
  /** Tag files, in any folder, that no tag manifest lists; tag manifests themselves are not among them. */
  readonly unlistedTagFiles: readonly string[];
}

/**
 * Validates a bag, a folder or an archive (tar, tar.gz, zip; told apart by content, not by name), against RFC 8493, or against the draft that it
 * declares (0.93 to 0.97). Reads every byte once or twice, writes nothing, unpacks nothing to disk, fetches nothing. Never stops at the first finding.
 * Throws FailureError when there is nothing to validate: PATH_NOT_FOUND, PATH_UNREADABLE (itself or one of its tag files), PATH_NOT_EVIDENCE, ARCHIVE_INVALID (damaged,
 * truncated, not an archive), ARCHIVE_UNSAFE (hostile entries), CANCELLED.
 */
export async function validateBag(path: string, options: CallOptions = {}): Promise<BagValidation> {
  const source = await openBagSource(path, options);
  try {
    return await validateSource(source, options);
  } finally {
    await source.close();
  }
}

async function validateSource(source: BagSource, options: CallOptions): Promise<BagValidation> {
  const { inventory } = source;
  const findings = [...source.findings];
  const counts = countPayload(source);
  const read = await readTagFiles(source, findings, options.signal);
  if (!source.hasPayloadFolder) findings.push(bagFinding("PAYLOAD_FOLDER_MISSING", { path: "data" }));
  const unlistedTagFiles = checkCompleteness(inventory, read, findings);
  checkNames(inventory, findings);
  if (read.oxum !== null && read.fetch.absent() === 0 && inventory.isComplete)
    checkOxum(read.oxum, counts, findings);
  throwIfCancelled(options.signal);
  await checkDigests(source, read, findings, options);
  return {
    bagName: source.bagName,
    form: source.form,
    bagitVersion: read.declaration.version,
    findings,
    counts,
    tagFiles: read.tagDigests,
    unlistedTagFiles,
  };
}

function countPayload({ inventory }: BagSource): { files: number; bytes: number } {
  let files = 0;
  let bytes = 0;
  for (let file = 0; file < inventory.count; file += 1) {
    if (!inventory.isPayload(file)) continue;
    files += 1;
    bytes += inventory.size(file);
  }
  return { files, bytes };
}

/** The Oxum is an early hint (RFC 8493, section 2.2.2): a difference is reported beside, not instead of, the files that cause it. */
function checkOxum(oxum: Oxum, counts: { files: number; bytes: number }, findings: Finding[]): void {
  if (oxum.bytes === BigInt(counts.bytes) && oxum.files === BigInt(counts.files)) return;
  const facts = { expected: `${oxum.bytes}.${oxum.files}`, actual: `${counts.bytes}.${counts.files}` };
  findings.push(bagFinding("OXUM_MISMATCH", facts));
}
