import type { Finding } from "../../src-contract/findings.ts";
import type { Inventory } from "./inventory.ts";
import { type ManifestTable, parseManifestName } from "./manifest-table.ts";
import type { TagFiles } from "./read-tag-files.ts";
import { bagFinding } from "./rules.ts";

/** What operating systems leave in folders without being asked. */
const LITTER = /(^|\/)(\.DS_Store|Thumbs\.db|desktop\.ini|\._[^/]*)$/i;

/** Holds the files that are there against those that are listed, both ways. Returns the tag files that no tag manifest lists. */
export function checkCompleteness(inventory: Inventory, read: TagFiles, findings: Finding[]): string[] {
  const { payloadManifests, tagManifests, declaration } = read;
  if (payloadManifests.length === 0) findings.push(bagFinding("NO_PAYLOAD_MANIFEST"));
  if (tagManifests.length === 0) findings.push(bagFinding("NO_TAG_MANIFEST"));
  checkManifestsAreListed(read, findings);
  read.fetch.check(payloadManifests);
  const unlisted: string[] = [];
  for (let file = 0; file < inventory.count; file += 1) {
    const path = inventory.path(file);
    if (!inventory.isPresent(file)) {
      if (!inventory.mayBeUnread(path)) checkAbsent(file, path, read, findings);
    } else if (inventory.isPayload(file)) {
      checkPayloadListed(file, path, payloadManifests, declaration.strict, findings);
    } else if (parseManifestName(path)?.kind !== "tag" && !tagManifests.some((table) => table.lists(file))) {
      unlisted.push(path);
      if (tagManifests.length > 0) findings.push(bagFinding("TAG_FILE_UNLISTED", { path }));
    }
  }
  return unlisted;
}

/** Files that a manifest lists and that are not there; fetch.txt speaks for those that it lists. */
function checkAbsent(file: number, path: string, read: TagFiles, findings: Finding[]): void {
  const inPayload = read.payloadManifests.filter((table) => table.lists(file));
  if (inPayload.length > 0 && !read.fetch.has(file)) {
    findings.push(bagFinding("PAYLOAD_FILE_MISSING", { path, detail: `listed in ${names(inPayload)}` }));
  }
  const inTag = read.tagManifests.filter((table) => table.lists(file));
  if (inTag.length > 0) {
    findings.push(bagFinding("TAG_FILE_MISSING", { path, detail: `listed in ${names(inTag)}` }));
  }
}

/** 1.0 asks for every file in every manifest, older versions for every file in at least one (RFC 8493, section 3). */
function checkPayloadListed(
  file: number,
  path: string,
  manifests: readonly ManifestTable[],
  strict: boolean,
  findings: Finding[],
): void {
  let listing = 0;
  for (const table of manifests) if (table.lists(file)) listing += 1;
  if (listing === manifests.length && listing > 0) return;
  if (listing === 0) findings.push(bagFinding("PAYLOAD_FILE_UNLISTED", { path }));
  else if (strict) {
    const detail = `not in ${names(manifests.filter((table) => !table.lists(file)))}`;
    findings.push(bagFinding("PAYLOAD_FILE_NOT_IN_EVERY_MANIFEST", { path, detail }));
  }
}

/** Otherwise a swapped payload manifest would not be seen (RFC 8493, section 2.2.1). */
function checkManifestsAreListed(read: TagFiles, findings: Finding[]): void {
  if (!read.declaration.strict) return;
  for (const table of read.tagManifests) {
    for (const path of read.payloadManifestPaths) {
      if (table.listsPath(path)) continue;
      findings.push(bagFinding("TAG_MANIFEST_OMITS_MANIFEST", { path, detail: `not in ${table.path}` }));
    }
  }
}

const names = (tables: readonly ManifestTable[]): string => tables.map((table) => table.path).join(", ");

/** Names that other systems cannot tell apart or that nobody meant to keep, among the files that are there. */
export function checkNames(inventory: Inventory, findings: Finding[]): void {
  // Of two twins at least one differs from its own folded form; a bag of plain lower-case names fills no map.
  const folded = new Map<string, number>();
  for (let file = 0; file < inventory.count; file += 1) {
    if (!inventory.isPresent(file)) continue;
    const path = inventory.path(file);
    if (inventory.isPayload(file) && LITTER.test(path)) findings.push(bagFinding("OS_LITTER", { path }));
    const key = path.normalize("NFC").toLowerCase();
    if (key === path) continue;
    const exact = inventory.find(key);
    const twin = exact !== undefined && inventory.isPresent(exact) ? exact : folded.get(key);
    if (twin === undefined) folded.set(key, file);
    else findings.push(twinFinding(path, inventory.path(twin)));
  }
}

function twinFinding(path: string, other: string): Finding {
  const sameForm = other.normalize("NFC") === path.normalize("NFC");
  const code = sameForm ? "NAME_UNICODE_TWINS" : "NAME_CASE_TWINS";
  return bagFinding(code, { path, detail: `the other is ${other}` });
}
