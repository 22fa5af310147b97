import type { FileRecord } from "../../src-contract/manifest.ts";
import { manifestLine } from "../bag/write-tags.ts";
import type { Manifest } from "../package/manifest-reader.ts";

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r" };

/**
 * What GNU `sha256sum data/...` prints, so that `sha256sum -c` accepts it beside data/. A name holding a backslash, LF or CR is escaped
 * and its line begins with a backslash (coreutils manual, "cksum output modes"); coreutils before 9.0 do not understand an escaped CR.
 */
export async function* sha256sumText(manifest: Manifest): AsyncGenerator<string> {
  for await (const records of manifest.files()) yield records.map(sha256sumLine).join("");
}

function sha256sumLine({ path, sha256 }: FileRecord): string {
  if (!/[\\\n\r]/.test(path)) return `${sha256}  ${path}\n`;
  return `\\${sha256}  ${path.replace(/[\\\n\r]/g, (c) => ESCAPES[c] ?? c)}\n`;
}

/** The bag's manifest-sha256.txt (RFC 8493, section 2.1.3): the same bytes that are in the package. */
export async function* bagitText(manifest: Manifest): AsyncGenerator<string> {
  for await (const records of manifest.files()) {
    yield records.map(({ path, sha256 }) => manifestLine(sha256, path)).join("");
  }
}
