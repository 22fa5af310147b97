import { stringify } from "csv-stringify/sync";
import type { FileRecord } from "../../src-contract/manifest.ts";
import type { Manifest } from "../package/manifest-reader.ts";

/**
 * The file list as CSV (RFC 4180: CRLF, UTF-8 without byte order mark, header line). Columns: path, size (bytes), sha256, sha512 where
 * the package has it, mediaType, modified, offset (bytes). A value that a spreadsheet would take for a formula, beginning with
 * = + - @ TAB or CR, gets a ' in front (OWASP, "CSV Injection"); payload paths begin with data/ and so are never changed. A value that
 * holds a separator of other countries' spreadsheets (; TAB) is quoted, so that no part of a path becomes a cell of its own there.
 */
export async function* csvText(manifest: Manifest): AsyncGenerator<string> {
  let columns: (keyof FileRecord)[] | undefined;
  for await (const records of manifest.files()) {
    if (columns === undefined) {
      columns = columnsFor(records[0]?.sha512 !== undefined);
      yield stringify([columns], { record_delimiter: "windows" });
    }
    yield stringify([...records], {
      columns,
      record_delimiter: "windows",
      escape_formulas: true,
      quoted_match: /[\r\n;\t]/,
    });
  }
  if (columns === undefined) yield stringify([columnsFor(false)], { record_delimiter: "windows" });
}

function columnsFor(hasSha512: boolean): (keyof FileRecord)[] {
  return [
    "path",
    "size",
    "sha256",
    ...(hasSha512 ? (["sha512"] as const) : []),
    "mediaType",
    "modified",
    "offset",
  ];
}
