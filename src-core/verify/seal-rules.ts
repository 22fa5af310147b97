import type { Finding } from "../../src-contract/findings.ts";

/** The closed list of what a verification against a seal can find, beside the bag rules (bag/rules.ts). */
const FORMAT = "docs/package-format.md";
const RULES = {
  ARCHIVE_NAME: ["warning", `${FORMAT}, "seal.json"`, "The archive's file name is not the one in the seal"],
  ARCHIVE_SIZE: ["error", `${FORMAT}, "seal.json"`, "The archive's size is not the sealed one"],
  ARCHIVE_DIGEST: ["error", `${FORMAT}, "seal.json"`, "The whole archive's digest is not the sealed one"],
  PART_DIGEST: ["error", `${FORMAT}, "Parts"`, "A part's digest is not the sealed one"],
  FILE_DIGEST: ["error", `${FORMAT}, "manifest.json"`, "A file's digest is not the one in manifest.json"],
  FILE_MISSING: ["error", `${FORMAT}, "manifest.json"`, "A file cannot be read"],
  HEADER: [
    "error",
    `${FORMAT}, "Archive layout 1"`,
    "A tar header is not the one that manifest.json demands",
  ],
  PADDING: ["error", `${FORMAT}, "Archive layout 1"`, "The bytes that fill a file's last block are not zero"],
  OFFSET: ["error", `${FORMAT}, "manifest.json"`, "An offset in manifest.json is not where the file lies"],
  MANIFEST_JSON: ["error", `${FORMAT}, "manifest.json"`, "manifest.json is not a manifest of format 1"],
  MANIFEST_JSON_DIGEST: ["error", `${FORMAT}, "seal.json"`, "manifest.json's digest is not the sealed one"],
  MANIFEST_IDENTITY: [
    "error",
    `${FORMAT}, "manifest.json"`,
    "manifest.json is of another package than the seal",
  ],
  PAYLOAD_MANIFEST: ["error", `${FORMAT}, "Tag files"`, "A payload manifest disagrees with manifest.json"],
  TAG_FILES: ["error", `${FORMAT}, "Tag files"`, "The tag files are not those of format 1, in their order"],
  TAG_FILE_CONTENT: ["error", `${FORMAT}, "Tag files"`, "A tag file does not say what format 1 demands"],
  TAG_MANIFEST: ["error", `${FORMAT}, "Tag files"`, "A tag manifest disagrees with the tag files"],
  TAG_MANIFEST_DIGEST: [
    "error",
    `${FORMAT}, "seal.json"`,
    "tagmanifest-sha256.txt's digest is not the sealed one",
  ],
  TRAILER: [
    "error",
    `${FORMAT}, "Archive layout 1"`,
    "The archive does not end in two zero blocks after the last tag file",
  ],
  UNSEALED_FILE: ["error", `${FORMAT}, "Verification"`, "A file lies in the bag that was not sealed"],
  SIGNATURE: ["error", `${FORMAT}, "Signatures"`, "A signature beside the package is not valid"],
} as const satisfies Record<string, readonly ["error" | "warning", string, string]>;

export type SealRule = keyof typeof RULES;

/** Builds a finding; `what` adds to the rule's own sentence. */
export function sealFinding(
  code: SealRule,
  about: {
    readonly path?: string;
    readonly expected?: string;
    readonly actual?: string;
    readonly what?: string;
  } = {},
): Finding {
  const [severity, rule, sentence] = RULES[code];
  const { what, ...facts } = about;
  return {
    code,
    severity,
    rule,
    message: what === undefined ? `${sentence}.` : `${sentence}: ${what}.`,
    ...facts,
  };
}
