import type { Finding } from "../../src-contract/findings.ts";
import { bagFinding } from "./rules.ts";
import { type TagEncoding, tagEncoding } from "./tag-text.ts";

/** What bagit.txt says, or what is assumed where it says nothing. */
export interface Declaration {
  /** As declared; null when there is none to be read. */
  readonly version: string | null;
  /** Whether the rules of 1.0 hold; also where no known version is declared. */
  readonly strict: boolean;
  /** Versions before 0.96 keep their metadata in package-info.txt. */
  readonly infoFile: "bag-info.txt" | "package-info.txt";
  readonly encoding: TagEncoding;
}

const KNOWN_VERSIONS = new Set(["0.93", "0.94", "0.95", "0.96", "0.97", "1.0"]);
/** RFC 8493, section 2.1.1: two lines, this order, one space after each colon, nothing else. */
const STRICT =
  /^BagIt-Version: (\d+\.\d+)(?:\r\n|\n|\r)Tag-File-Character-Encoding: ([!-~]+)(?:\r\n|\n|\r)?$/;
/** Before 1.0: white space around the colons and at line ends did no harm. */
const LENIENT =
  /^BagIt-Version[ \t]*:[ \t]*(\d+\.\d+)[ \t]*(?:\r\n|\n|\r)Tag-File-Character-Encoding[ \t]*:[ \t]*([!-~]+)[ \t]*[\r\n]*$/;

/** Reads bagit.txt, byte for byte; null stands for a missing file. Adds to `findings` and always returns something to go on with. */
export function parseBagitTxt(bytes: Uint8Array | null, findings: Finding[]): Declaration {
  const path = "bagit.txt";
  if (bytes === null) {
    findings.push(bagFinding("BAGIT_TXT_MISSING", { path }));
    return declaration(null, "UTF-8", findings);
  }
  let text = Buffer.from(bytes).toString("latin1");
  if (text.startsWith("\u00ef\u00bb\u00bf")) {
    findings.push(bagFinding("BAGIT_TXT_BOM", { path }));
    text = text.slice(3);
  }
  const lenient = LENIENT.exec(text);
  const version = lenient?.[1] ?? /BagIt-Version[ \t]*:[ \t]*(\d+\.\d+)/.exec(text)?.[1] ?? null;
  const old = version?.startsWith("0.") === true;
  if ((old ? lenient : STRICT.exec(text)) === null) {
    findings.push(bagFinding("BAGIT_TXT_SYNTAX", { path, actual: text.slice(0, 200) }));
  }
  if (version !== null && !KNOWN_VERSIONS.has(version)) {
    findings.push(bagFinding("BAGIT_VERSION_UNKNOWN", { path, actual: version }));
  }
  const declared = lenient?.[2] ?? /Tag-File-Character-Encoding[ \t]*:[ \t]*([!-~]+)/.exec(text)?.[1];
  return declaration(version, declared ?? "UTF-8", findings);
}

function declaration(version: string | null, label: string, findings: Finding[]): Declaration {
  const encoding = tagEncoding(label);
  if (encoding === null) findings.push(bagFinding("ENCODING_UNKNOWN", { path: "bagit.txt", actual: label }));
  const old = version?.startsWith("0.") === true;
  return {
    version,
    strict: !old,
    infoFile: old && version < "0.96" ? "package-info.txt" : "bag-info.txt",
    encoding: encoding ?? { kind: "utf8" },
  };
}
