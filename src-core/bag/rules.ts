import type { Finding } from "../../src-contract/findings.ts";

/**
 * The closed list of what validating a bag can find: code, severity, where the rule comes from, and what is wrong, for a person.
 * `error` makes a bag not valid, `warning` does not. Where the versions of BagIt differ, the code that fits the declared version is used.
 */
const RULES = {
  BAGIT_TXT_MISSING: ["error", "RFC 8493 2.1.1", "There is no bagit.txt"],
  BAGIT_TXT_SYNTAX: [
    "error",
    "RFC 8493 2.1.1",
    "bagit.txt is not made of exactly the two lines that its version asks for",
  ],
  BAGIT_TXT_BOM: ["error", "RFC 8493 2.1.1", "bagit.txt begins with a byte-order mark"],
  BAGIT_VERSION_UNKNOWN: ["error", "RFC 8493 2.1.1", "The BagIt version is none of 0.93 to 0.97 and 1.0"],
  ENCODING_UNKNOWN: [
    "error",
    "RFC 8493 2.1.1",
    "The tag file encoding is not known to this program; the tag files were read as UTF-8",
  ],
  TAG_FILE_BOM: ["error", "RFC 8493 2.3", "A tag file in UTF-8 begins with a byte-order mark"],
  TAG_FILE_BOM_OLD: ["warning", "RFC 8493 2.3", "A tag file in UTF-8 begins with a byte-order mark"],
  TAG_FILE_NOT_DECODABLE: ["error", "RFC 8493 2.3", "A line is not valid in the declared encoding"],
  TAG_FILE_LINE_TOO_LONG: ["error", "limit of this program", "A line is longer than 1,048,576 characters"],
  PAYLOAD_FOLDER_MISSING: ["error", "RFC 8493 2.1.2", "There is no folder data/"],
  NO_PAYLOAD_MANIFEST: ["error", "RFC 8493 2.1.3", "There is no payload manifest"],
  NO_TAG_MANIFEST: [
    "warning",
    "RFC 8493 2.2.1",
    "There is no tag manifest: changes of the tag files cannot be seen",
  ],
  ALGORITHM_UNKNOWN: [
    "error",
    "RFC 8493 2.4",
    "A manifest uses a digest algorithm that is not known to this program, so it was not verified",
  ],
  ALGORITHM_WEAK: [
    "warning",
    "RFC 8493 2.4",
    "The digest algorithm no longer resists deliberate changes; it shows accidents only",
  ],
  MANIFEST_LINE_MALFORMED: ["error", "RFC 8493 2.1.3", "A line is not a digest, white space and a path"],
  MANIFEST_LINE_BLANK: ["warning", "RFC 8493 2.1.3", "A line is blank"],
  MANIFEST_DIGEST_LENGTH: [
    "error",
    "RFC 8493 2.1.3",
    "A digest does not have the length of its manifest's algorithm",
  ],
  MANIFEST_MD5SUM_STAR: [
    "warning",
    "RFC 8493 6.1.3",
    "A path has the `*` of md5sum before it; strict validators refuse this",
  ],
  MANIFEST_PATH_UNSAFE: ["error", "RFC 8493 5.1", "A path is unsafe"],
  MANIFEST_PATH_NOT_FILE: ["error", "RFC 8493 2.1.3", "A path names a folder; only files are listed"],
  MANIFEST_PATH_OUTSIDE_PAYLOAD: ["error", "RFC 8493 2.1.3", "A payload manifest lists a path outside data/"],
  MANIFEST_PATH_NOT_NORMAL: [
    "warning",
    "RFC 8493 2.1.3",
    "A path holds `.` or empty segments, such as a leading `./`; some validators refuse this",
  ],
  MANIFEST_PATH_LEGACY_ENCODING: [
    "warning",
    "RFC 8493 2.1.3",
    "A path fits a file only when it is not percent-decoded: the manifest was written by an older rule",
  ],
  MANIFEST_PATH_UNICODE_FORM: [
    "warning",
    "RFC 8493 6.1.1.3",
    "A path is spelled in another Unicode normalisation form than the file's name",
  ],
  MANIFEST_DUPLICATE: ["error", "RFC 8493 2.1.3", "A file is listed twice in one manifest"],
  MANIFEST_DUPLICATE_SAME_DIGEST: [
    "warning",
    "BagIt 0.97 2.1.3",
    "A file is listed twice in one manifest, with the same digest",
  ],
  PAYLOAD_FILE_MISSING: ["error", "RFC 8493 3", "A listed payload file is not there"],
  PAYLOAD_FILE_NOT_FETCHED: [
    "error",
    "RFC 8493 2.2.3",
    "A payload file is still to be fetched: the bag is incomplete",
  ],
  PAYLOAD_FILE_UNLISTED: ["error", "RFC 8493 3", "A payload file is in no payload manifest"],
  PAYLOAD_FILE_NOT_IN_EVERY_MANIFEST: [
    "error",
    "RFC 8493 3",
    "A payload file is not listed in every payload manifest",
  ],
  PAYLOAD_DIGEST_MISMATCH: ["error", "RFC 8493 3", "A payload file's digest differs from its manifest"],
  TAG_MANIFEST_OMITS_MANIFEST: [
    "error",
    "RFC 8493 2.2.1",
    "A tag manifest does not list every payload manifest",
  ],
  TAG_MANIFEST_LISTS_PAYLOAD: ["error", "RFC 8493 2.2.1", "A tag manifest lists a payload file"],
  TAG_MANIFEST_LISTS_TAG_MANIFEST: ["error", "RFC 8493 2.2.1", "A tag manifest lists a tag manifest"],
  TAG_FILE_MISSING: ["error", "RFC 8493 3", "A listed tag file is not there"],
  TAG_FILE_UNLISTED: [
    "warning",
    "RFC 8493 2.2.4",
    "A tag file is in no tag manifest: nothing vouches for it",
  ],
  TAG_DIGEST_MISMATCH: ["error", "RFC 8493 3", "A tag file's digest differs from its tag manifest"],
  BAG_INFO_SYNTAX: ["error", "RFC 8493 2.2.2", "A line is neither a label with a value nor a continuation"],
  BAG_INFO_LABEL_SPACE: ["error", "RFC 8493 2.2.2", "A label has white space at its begin or end"],
  BAG_INFO_SEPARATOR: [
    "warning",
    "RFC 8493 2.2.2",
    "The colon of a label is not followed by exactly one space or tab",
  ],
  OXUM_SYNTAX: ["error", "RFC 8493 2.2.2", "Payload-Oxum is not two numbers with a dot between"],
  OXUM_REPEATED: ["error", "RFC 8493 2.2.2", "Payload-Oxum is given more than once"],
  OXUM_MISMATCH: ["error", "RFC 8493 2.2.2", "Payload-Oxum differs from the bytes and files in data/"],
  FETCH_LINE_MALFORMED: [
    "error",
    "RFC 8493 2.2.3",
    "A line of fetch.txt is not an address, a length and a path",
  ],
  FETCH_PATH_UNSAFE: ["error", "RFC 8493 5.1", "A path in fetch.txt is unsafe"],
  FETCH_PATH_OUTSIDE_PAYLOAD: ["error", "RFC 8493 2.2.3", "fetch.txt lists a path outside data/"],
  FETCH_NOT_IN_MANIFEST: [
    "error",
    "RFC 8493 2.2.3",
    "A file in fetch.txt is not listed in the payload manifests as its version asks for",
  ],
  FETCH_DUPLICATE: ["warning", "RFC 8493 2.2.3", "A file is listed twice in fetch.txt"],
  FETCH_LENGTH_DIFFERS: [
    "warning",
    "RFC 8493 5.3",
    "The length in fetch.txt differs from the file that is there",
  ],
  SYMLINK: ["error", "docs/package-format.md", "A symbolic link is in the bag; links are never followed"],
  SPECIAL_FILE: [
    "error",
    "RFC 8493 2.1.2",
    "Something that is neither a regular file nor a folder is in the bag (socket, pipe, device)",
  ],
  FILE_UNREADABLE: ["error", "RFC 8493 3", "A file or folder could not be read, so it was not verified"],
  NAME_NOT_UNICODE: [
    "error",
    "RFC 8493 2.1.3",
    "A name is not valid UTF-8, so no manifest can be held against it",
  ],
  NAME_CASE_TWINS: [
    "warning",
    "RFC 8493 6.1.1.1",
    "Two names differ in case only; some systems keep one of them",
  ],
  NAME_UNICODE_TWINS: [
    "warning",
    "RFC 8493 6.1.1.3",
    "Two names differ in Unicode normalisation only; some systems keep one of them",
  ],
  OS_LITTER: ["warning", "RFC 8493 6.1.1", "A file that operating systems leave behind is in the payload"],
  ARCHIVE_NO_TOP_FOLDER: [
    "error",
    "RFC 8493 4",
    "The archive holds the bag's files without the folder that must be around them",
  ],
  ARCHIVE_SECOND_TOP_FOLDER: ["error", "RFC 8493 4", "The archive holds something beside the bag's folder"],
  ARCHIVE_TRAILING_DATA: [
    "error",
    "RFC 8493 4",
    "The archive holds bytes that belong to none of its entries, such as bytes after its end; nothing vouches for them",
  ],
  ARCHIVE_END_SHORT: [
    "warning",
    "POSIX pax",
    "The archive ends with one block of zeros where two are asked for",
  ],
  ARCHIVE_ENTRY_DAMAGED: [
    "error",
    "APPNOTE 4.4.7",
    "An entry of the archive cannot be unpacked, has a wrong CRC, or is described in two ways",
  ],
} as const satisfies Record<string, readonly [Finding["severity"], string, string]>;

export type BagFindingCode = keyof typeof RULES;

/** What a finding says beyond its rule; `detail` is added to the rule's text. */
export interface FindingFacts {
  readonly path?: string;
  readonly expected?: string;
  readonly actual?: string;
  readonly detail?: string;
}

/** Builds the finding of a rule: severity, rule and message come from the closed list. */
export function bagFinding(code: BagFindingCode, facts: FindingFacts = {}): Finding {
  const [severity, rule, text] = RULES[code];
  const { detail, ...known } = facts;
  return {
    code,
    severity,
    ...known,
    rule,
    message: detail === undefined ? `${text}.` : `${text} (${detail}).`,
  };
}

/** How a file that could not be read is reported; other codes are the system's own. */
const UNREADABLE: Readonly<Record<string, BagFindingCode>> = {
  ELOOP: "SYMLINK",
  NOT_FILE: "SPECIAL_FILE",
  DAMAGED: "ARCHIVE_ENTRY_DAMAGED",
};

/** The finding for a file that could not be read or digested, by the error code. */
export function unreadableFinding(path: string, code: string): Finding {
  const known = UNREADABLE[code];
  return known === undefined
    ? bagFinding("FILE_UNREADABLE", { path, detail: code })
    : bagFinding(known, { path });
}
