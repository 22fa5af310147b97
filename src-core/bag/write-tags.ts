import type { ManifestHeader } from "../../src-contract/manifest.ts";
import { fail } from "../failing.ts";

/** bagit.txt of every bag that this program writes (RFC 8493, section 2.1.1). */
export function bagitTxt(): string {
  return "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";
}

/** Whether a label can be written so that every reader finds it again: no colon, no control character, no white space at its ends. */
function isLabel(label: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here.
  return label !== "" && label.trim() === label && !/[:\u0000-\u001f\u007f]/.test(label);
}

/**
 * bag-info.txt from labels and values, one line each, in the order given (RFC 8493, section 2.2.2).
 * Line ends inside a value become one space, so that no value can begin a new line and pose as another label.
 * Throws INVALID_INPUT for a label that is empty or holds a colon, a control character or white space at its ends.
 */
export function bagInfoTxt(entries: readonly (readonly [label: string, value: string])[]): string {
  return entries
    .map(([label, value]) => {
      if (!isLabel(label)) {
        throw fail(
          "INVALID_INPUT",
          `${JSON.stringify(label)} cannot be a label of bag-info.txt.`,
          "Use a name without a colon, control characters, or white space at its begin or end.",
          { subject: label },
        );
      }
      return `${label}: ${value.replace(/[\t ]*[\r\n\v\f\0\u0085\u2028\u2029]+[\t ]*/g, " ").trim()}\n`;
    })
    .join("");
}

/** bag-info.txt of a sealed package: it follows from the header of manifest.json and the client's name. */
export function sealedBagInfoTxt(header: ManifestHeader, client: string | null): string {
  const info: [string, string][] = [
    ["Bagging-Date", header.sealed.slice(0, 10)],
    ["Bag-Software-Agent", header.program],
    ["External-Identifier", header.packageId],
    ["Internal-Sender-Identifier", header.engagement],
    ["Payload-Oxum", `${header.payloadSize}.${header.fileCount}`],
  ];
  if (client !== null) info.push(["Source-Organization", client]);
  if (header.title !== undefined) info.push(["External-Description", header.title]);
  return bagInfoTxt(info);
}

const ENCODED: Readonly<Record<string, string>> = { "%": "%25", "\r": "%0D", "\n": "%0A" };

/**
 * One line of a manifest: digest in hex, two spaces (as sha256sum writes them), path, LF.
 * In the path `%`, CR and LF are percent-encoded and nothing else is (RFC 8493, section 2.1.3).
 */
export function manifestLine(digestHex: string, path: string): string {
  return `${digestHex}  ${/[%\r\n]/.test(path) ? path.replace(/[%\r\n]/g, (c) => ENCODED[c] ?? c) : path}\n`;
}
