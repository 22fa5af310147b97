import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { BagFindingCode } from "./rules.ts";
import { appendTo, type BagPlan, buildBag, digestHex, replaceIn, writeBag } from "./testing/build-bag.ts";
import { validateBag } from "./validate-bag.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "bag-rules-"));
});
afterEach(() => rmSync(root, { recursive: true }));

const codes = (findings: readonly { code: string }[]): string[] => findings.map((finding) => finding.code);
const validate = async (plan: BagPlan) => validateBag(await writeBag(root, buildBag(plan)));

const beta = digestHex("sha256", "beta");
const manifest = "manifest-sha256.txt";
const set = (path: string, text: string | Buffer) => (files: Map<string, Buffer>) =>
  void files.set(path, Buffer.from(text));
const append = (path: string, text: string) => (files: Map<string, Buffer>) => appendTo(files, path, text);
const replace = (path: string, from: string | RegExp, to: string) => (files: Map<string, Buffer>) =>
  replaceIn(files, path, from, to);

/** Name, what is changed, all findings expected. Severity follows from the closed list. */
const RULES: readonly (readonly [string, BagPlan, readonly BagFindingCode[]])[] = [
  ["no bagit.txt", { edit: (files) => void files.delete("bagit.txt") }, ["BAGIT_TXT_MISSING"]],
  ["a space before the colon", { edit: replace("bagit.txt", "Version:", "Version :") }, ["BAGIT_TXT_SYNTAX"]],
  [
    "a space before the colon, 0.97",
    { version: "0.97", edit: replace("bagit.txt", "Version:", "Version :") },
    [],
  ],
  ["a trailing space", { edit: replace("bagit.txt", "1.0", "1.0 ") }, ["BAGIT_TXT_SYNTAX"]],
  ["a third line", { edit: append("bagit.txt", "More: x\n") }, ["BAGIT_TXT_SYNTAX"]],
  ["an empty third line", { edit: append("bagit.txt", "\n") }, ["BAGIT_TXT_SYNTAX"]],
  [
    "the two lines reversed",
    { edit: set("bagit.txt", "Tag-File-Character-Encoding: UTF-8\nBagIt-Version: 1.0\n") },
    ["BAGIT_TXT_SYNTAX"],
  ],
  ["bagit.txt with CR", { edit: (f) => replaceIn(f, "bagit.txt", /\n/g, "\r") }, []],
  ["bagit.txt without a last line end", { edit: replace("bagit.txt", /\n$/, "") }, []],
  [
    "empty lines and then a word",
    { edit: append("bagit.txt", `${"\r\n".repeat(60)}x`) },
    ["BAGIT_TXT_SYNTAX"],
  ],
  [
    "empty lines and then a word, 0.97",
    { version: "0.97", edit: append("bagit.txt", `${"\r\n".repeat(60)}x`) },
    ["BAGIT_TXT_SYNTAX"],
  ],
  ["a BOM in bagit.txt", { edit: replace("bagit.txt", /^/, "\ufeff") }, ["BAGIT_TXT_BOM"]],
  ["version 2.0", { version: "2.0" }, ["BAGIT_VERSION_UNKNOWN"]],
  ["version 0.98", { version: "0.98" }, ["BAGIT_VERSION_UNKNOWN"]],
  ["version .97", { version: ".97" }, ["BAGIT_TXT_SYNTAX"]],
  ["an unknown encoding", { encoding: "UTF-7" }, ["ENCODING_UNKNOWN"]],
  ["a BOM in a manifest", { edit: replace(manifest, /^/, "\ufeff") }, ["TAG_FILE_BOM"]],
  [
    "a BOM in a manifest, 0.97",
    { version: "0.97", edit: replace(manifest, /^/, "\ufeff") },
    ["TAG_FILE_BOM_OLD"],
  ],
  [
    "bytes that are not UTF-8",
    { edit: (f) => void f.set("bag-info.txt", Buffer.from("Title: \xff\n", "latin1")) },
    ["TAG_FILE_NOT_DECODABLE"],
  ],
  ["no payload folder", { payload: {} }, ["PAYLOAD_FOLDER_MISSING"]],
  [
    "no payload manifest",
    { payload: { "data/x": "x" }, edit: (f) => void f.delete(manifest) },
    ["NO_PAYLOAD_MANIFEST", "PAYLOAD_FILE_UNLISTED"],
  ],
  ["no tag manifest", { tagManifests: false }, ["NO_TAG_MANIFEST"]],
  ["an unknown algorithm", { edit: set("manifest-crc32.txt", "00 data/a.txt\n") }, ["ALGORITHM_UNKNOWN"]],
  [
    "a manifest by another spelling",
    { edit: (f) => void f.set("manifest-SHA-256.txt", f.get(manifest) ?? Buffer.from("")) },
    [],
  ],
  ["md5 only", { algorithms: ["md5"] }, ["ALGORITHM_WEAK", "ALGORITHM_WEAK"]],
  ["sha1 beside sha512", { algorithms: ["sha1", "sha512"] }, ["ALGORITHM_WEAK", "ALGORITHM_WEAK"]],
  ["sha224, sha384, sha512", { algorithms: ["sha224", "sha384", "sha512"] }, []],
  ["a malformed line", { edit: append(manifest, "what is this?\n") }, ["MANIFEST_LINE_MALFORMED"]],
  ["an md5sum escape", { edit: append(manifest, `\\${beta}  data/x\n`) }, ["MANIFEST_LINE_MALFORMED"]],
  ["a blank line", { edit: append(manifest, "\n") }, ["MANIFEST_LINE_BLANK"]],
  [
    "a digest that is too short",
    { edit: replace(manifest, beta, beta.slice(2)) },
    ["MANIFEST_DIGEST_LENGTH", "PAYLOAD_FILE_UNLISTED"],
  ],
  ["an upper-case digest", { edit: replace(manifest, beta, beta.toUpperCase()) }, []],
  ["a tab between", { edit: (f) => replaceIn(f, manifest, / {2}/g, "\t \t") }, []],
  ["CRLF", { edit: (f) => replaceIn(f, manifest, /\n/g, "\r\n") }, []],
  ["CR only, no last end", { edit: (f) => replaceIn(f, manifest, /\n(?!$)/g, "\r") }, []],
  ["no last line end", { edit: replace(manifest, /\n$/, "") }, []],
  [
    "md5sum's star",
    { edit: (f) => replaceIn(f, manifest, / {2}data\/a/, " *data/a") },
    ["MANIFEST_MD5SUM_STAR"],
  ],
  ["an unsafe path", { edit: append(manifest, `${beta}  ../../etc/passwd\n`) }, ["MANIFEST_PATH_UNSAFE"]],
  [
    "a path that becomes unsafe when it is decoded",
    { edit: append("tagmanifest-x", ""), spoil: append("tagmanifest-sha256.txt", `${beta}  %25HOME%25/x\n`) },
    ["MANIFEST_PATH_UNSAFE"],
  ],
  ["data/.. in a path", { edit: append(manifest, `${beta}  data/../bagit.txt\n`) }, ["MANIFEST_PATH_UNSAFE"]],
  ["a folder in a manifest", { edit: append(manifest, `${beta}  data/dir/\n`) }, ["MANIFEST_PATH_NOT_FILE"]],
  [
    "a tag file in a payload manifest",
    { edit: append(manifest, `${beta}  bagit.txt\n`) },
    ["MANIFEST_PATH_OUTSIDE_PAYLOAD"],
  ],
  ["a leading ./", { edit: replace(manifest, "data/a", "./data/a") }, ["MANIFEST_PATH_NOT_NORMAL"]],
  [
    "a % that is not encoded",
    { payload: { "data/a%0Db": "x" }, edit: (f) => replaceIn(f, manifest, "%250D", "%0D") },
    ["MANIFEST_PATH_LEGACY_ENCODING"],
  ],
  [
    "an encoded %, 0.97",
    { version: "0.97", payload: { "data/a%b": "x" } },
    ["PAYLOAD_FILE_UNLISTED", "PAYLOAD_FILE_MISSING"],
  ],
  [
    "a literal %25, 0.97",
    { version: "0.97", payload: { "data/a%25b": "x" }, edit: (f) => replaceIn(f, manifest, "%2525", "%25") },
    [],
  ],
  [
    "NFD in the manifest, NFC on disk",
    { payload: { "data/\u00e9": "x" }, edit: replace(manifest, "\u00e9", "e\u0301") },
    ["MANIFEST_PATH_UNICODE_FORM"],
  ],
  [
    "NFC in the manifest, NFD on disk",
    { payload: { "data/e\u0301": "x" }, edit: replace(manifest, "e\u0301", "\u00e9") },
    ["MANIFEST_PATH_UNICODE_FORM"],
  ],
  ["NFC and NFD twins", { payload: { "data/e\u0301": "x", "data/\u00e9": "y" } }, ["NAME_UNICODE_TWINS"]],
  ["case twins", { payload: { "data/A": "x", "data/a": "y" } }, ["NAME_CASE_TWINS"]],
  ["a name ending in a space", { payload: { "data/a ": "x", "data/a": "y" } }, []],
  ["a name of U+FFFD", { payload: { "data/\ufffd": "x" } }, []],
  ["a file listed twice", { edit: append(manifest, `${beta}  data/dir/b c.txt\n`) }, ["MANIFEST_DUPLICATE"]],
  [
    "a file listed twice by two spellings",
    { edit: append(manifest, `${beta}  ./data/dir/b c.txt\n`) },
    ["MANIFEST_PATH_NOT_NORMAL", "MANIFEST_DUPLICATE"],
  ],
  [
    "a file listed twice, 0.97",
    { version: "0.97", edit: append(manifest, `${beta}  data/dir/b c.txt\n`) },
    ["MANIFEST_DUPLICATE_SAME_DIGEST"],
  ],
  [
    "a file listed twice with two digests, 0.97",
    { version: "0.97", edit: append(manifest, `${digestHex("sha256", "")}  data/dir/b c.txt\n`) },
    ["MANIFEST_DUPLICATE"],
  ],
  ["a missing payload file", { edit: append(manifest, `${beta}  data/gone\n`) }, ["PAYLOAD_FILE_MISSING"]],
  [
    "a file in one of two manifests",
    { algorithms: ["sha256", "sha512"], edit: replace(manifest, /.*data\/a.txt\n/, "") },
    ["PAYLOAD_FILE_NOT_IN_EVERY_MANIFEST"],
  ],
  [
    "a file in one of two manifests, 0.97",
    { version: "0.97", algorithms: ["sha256", "sha512"], edit: replace(manifest, /.*data\/a.txt\n/, "") },
    [],
  ],
  [
    "a tag manifest that omits a payload manifest",
    { spoil: replace("tagmanifest-sha256.txt", /.*manifest-sha256.txt\n/, "") },
    ["TAG_MANIFEST_OMITS_MANIFEST", "TAG_FILE_UNLISTED"],
  ],
  [
    "a payload file in a tag manifest",
    { spoil: append("tagmanifest-sha256.txt", `${beta}  data/dir/b c.txt\n`) },
    ["TAG_MANIFEST_LISTS_PAYLOAD"],
  ],
  [
    "a tag manifest in a tag manifest",
    { spoil: append("tagmanifest-sha256.txt", `${beta}  tagmanifest-md5.txt\n`) },
    ["TAG_MANIFEST_LISTS_TAG_MANIFEST"],
  ],
  ["a missing tag file", { spoil: (f) => void f.delete("bag-info.txt") }, ["TAG_FILE_MISSING"]],
  ["an unlisted tag file", { spoil: set("notes/x.txt", "x") }, ["TAG_FILE_UNLISTED"]],
  ["a changed tag file", { spoil: append("bag-info.txt", "More: x\n") }, ["TAG_DIGEST_MISMATCH"]],
  [
    "a changed package-info.txt, which 1.0 does not know",
    { edit: set("package-info.txt", "x"), spoil: set("package-info.txt", "y") },
    ["TAG_DIGEST_MISMATCH"],
  ],
  [
    "a changed BagIt.txt beside bagit.txt",
    { edit: set("BagIt.txt", "x"), spoil: set("BagIt.txt", "y") },
    ["TAG_DIGEST_MISMATCH", "NAME_CASE_TWINS"],
  ],
  [
    "bag-info.txt with a line that is none",
    { edit: append("bag-info.txt", "nonsense\n") },
    ["BAG_INFO_SYNTAX"],
  ],
  ["a continued line", { edit: append("bag-info.txt", "A: b\n  c: d\n\te\n") }, []],
  ["a continuation of nothing", { edit: set("bag-info.txt", "  x\n") }, ["BAG_INFO_SYNTAX"]],
  ["a space before a label's colon", { edit: append("bag-info.txt", "A : b\n") }, ["BAG_INFO_LABEL_SPACE"]],
  ["a space before a label's colon, 0.97", { version: "0.97", edit: append("bag-info.txt", "A : b\n") }, []],
  ["no space after a label's colon", { edit: append("bag-info.txt", "A:b\n") }, ["BAG_INFO_SEPARATOR"]],
  ["an Oxum of another form", { edit: set("bag-info.txt", "Payload-Oxum: 9 bytes\n") }, ["OXUM_SYNTAX"]],
  ["a repeated Oxum", { edit: append("bag-info.txt", "PAYLOAD-OXUM: 9.3\n") }, ["OXUM_REPEATED"]],
  ["a wrong Oxum", { edit: set("bag-info.txt", "payload-oxum: 9.4\n") }, ["OXUM_MISMATCH"]],
  ["no bag-info.txt", { edit: (f) => void f.delete("bag-info.txt") }, []],
  [
    "an Oxum in package-info.txt, 0.95",
    {
      version: "0.95",
      edit: (f) => {
        f.delete("bag-info.txt");
        f.set("package-info.txt", Buffer.from("Payload-Oxum: 1.1\n"));
      },
    },
    ["OXUM_MISMATCH"],
  ],
  ["a fetched file", { edit: set("fetch.txt", "https://example.org/a 5 data/a.txt\n") }, []],
  [
    "a file still to be fetched",
    {
      edit: (f) => {
        f.delete("data/a.txt");
        f.set("fetch.txt", Buffer.from("https://example.org/a - data/a.txt\n"));
      },
    },
    ["PAYLOAD_FILE_NOT_FETCHED"],
  ],
  [
    "a malformed line of fetch.txt",
    { edit: set("fetch.txt", "/a - data/a.txt\n") },
    ["FETCH_LINE_MALFORMED"],
  ],
  ["an unsafe path in fetch.txt", { edit: set("fetch.txt", "https://x - ~/a\n") }, ["FETCH_PATH_UNSAFE"]],
  [
    "a tag file in fetch.txt",
    { edit: set("fetch.txt", "https://x - bag-info.txt\n") },
    ["FETCH_PATH_OUTSIDE_PAYLOAD"],
  ],
  [
    "a file in fetch.txt and no manifest",
    { edit: set("fetch.txt", "https://x - data/new\n") },
    ["FETCH_NOT_IN_MANIFEST", "PAYLOAD_FILE_NOT_FETCHED"],
  ],
  [
    "a file twice in fetch.txt",
    { edit: set("fetch.txt", "https://x - data/a.txt\nhttps://y - data/a.txt\n") },
    ["FETCH_DUPLICATE"],
  ],
  [
    "another length in fetch.txt",
    { edit: set("fetch.txt", "https://x 6 data/a.txt\n") },
    ["FETCH_LENGTH_DIFFERS"],
  ],
  [
    "OS litter",
    { payload: { "data/.DS_Store": "", "data/d/Thumbs.db": "", "data/._a": "", "data/x": "" } },
    ["OS_LITTER", "OS_LITTER", "OS_LITTER"],
  ],
  ["a bag in a bag", { payload: { "data/data/bagit.txt": "x", "data/manifest-md5.txt": "y" } }, []],
];

describe("rules", () => {
  it.each(RULES)("%s", async (_name, plan, expected) => {
    const { findings } = await validate(plan);
    expect(codes(findings).toSorted()).toEqual(expected.toSorted());
  });
});
