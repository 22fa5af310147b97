import type { FileRecord, ManifestHeader } from "../../src-contract/manifest.ts";
import type { Seal } from "../../src-contract/seal.ts";
import type { Manifest } from "../package/manifest-reader.ts";
import { HTML_STYLE } from "./html-style.ts";
import { visibleText } from "./visible-text.ts";

/** A browser lays out one table of this many rows at a time; 100,000 rows in one table take it many seconds. */
const ROWS_PER_TABLE = 1000;

const OMISSION_REASONS = {
  symlink: "symbolic link, never followed",
  "special-file": "neither file nor folder",
  litter: "left by the operating system",
} as const;

/**
 * One page for people: package digest, facts, how to verify, every file. It loads nothing, runs no script and says so to the browser
 * (Content-Security-Policy), so that it can be opened from a stick or a mail without risk, whatever names the evidence has.
 */
export async function* htmlText(
  manifest: Manifest,
  seal: Seal,
  packageDigest: string,
): AsyncGenerator<string> {
  const { header } = manifest;
  yield pageHead(header, packageDigest) + facts(header, seal) + howToVerify(header, seal);
  let part: "start" | "emptyFolders" | "omitted" | "files" = "start";
  let row = 0;
  for await (const { list, entries } of manifest.batches()) {
    let text = "";
    if (list !== part) {
      text += part === "emptyFolders" || part === "omitted" ? "</ul>\n" : "";
      text += list === "files" ? filesHead(header) : `${LIST_HEADS[list]}<ul>\n`;
      part = list;
    }
    if (list === "emptyFolders") text += entries.map((path) => listItem(path, "")).join("");
    else if (list === "omitted") {
      text += entries.map(({ path, reason }) => listItem(path, ` (${OMISSION_REASONS[reason]})`)).join("");
    } else {
      for (const record of entries) {
        if (row % ROWS_PER_TABLE === 0) text += tableHead(row, header.fileCount);
        row++;
        text += fileRow(record);
        if (row % ROWS_PER_TABLE === 0 || row === header.fileCount) text += "</tbody></table></div>\n";
      }
    }
    yield text;
  }
  if (part === "emptyFolders" || part === "omitted") yield "</ul>\n";
  if (part !== "files") yield filesHead(header);
  yield `</main>\n<footer>Written by ${visibleText(header.program)} from manifest.json of the package. This page is a reading copy: what counts is the package and its digest.</footer>\n</body>\n</html>\n`;
}

const LIST_HEADS = {
  emptyFolders: "<h2>Empty folders</h2>\n",
  omitted: "<h2>Left out of the package</h2>\n",
} as const;

function pageHead(header: ManifestHeader, packageDigest: string): string {
  const title = visibleText(header.title ?? header.name);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>Manifest of ${header.name}</title>
<style>${HTML_STYLE}
</style>
</head>
<body>
<main>
<header>
<p class="kind">Sealed evidence package</p>
<h1>${title}</h1>
</header>
<div class="seal"><p>Package digest (SHA-256 of ${header.name}.seal.json)</p><strong>${packageDigest}</strong></div>
`;
}

function facts(header: ManifestHeader, seal: Seal): string {
  const rows: [string, string | undefined][] = [
    ["Package", header.name],
    ["Package id", header.packageId],
    ["Engagement", header.engagement],
    ["Producer", header.producer],
    ["Subject", header.subject],
    ["Phase", header.phase],
    ["Retention class", header.retentionClass],
    ["Content", `${amount(header.fileCount, "file")}, ${amount(header.payloadSize, "byte")}`],
    ["Archive", `${seal.archive}, ${amount(seal.archiveSize, "byte")}`],
    ["Archive SHA-256", seal.archiveSha256],
    ["Manifest SHA-256", seal.manifestSha256],
    ["Created", header.created],
    ["Sealed", header.sealed],
    ["Device", header.device],
  ];
  const sources = header.sources.map(({ name, path }): [string, string] => [`data/${name}`, path]);
  const metadata = Object.entries(header.metadata);
  return (
    termList("Package", rows) +
    termList("Sources, on the sealing device", sources) +
    termList("Metadata, as the sealer gave them", metadata)
  );
}

function termList(heading: string, rows: readonly [string, string | undefined][]): string {
  if (rows.length === 0) return "";
  const items = rows.map(([term, value]) =>
    value === undefined ? "" : `<dt>${visibleText(term)}</dt><dd>${visibleText(value)}</dd>\n`,
  );
  return `<h2>${heading}</h2>\n<dl>\n${items.join("")}</dl>\n`;
}

function howToVerify({ name }: ManifestHeader, seal: Seal): string {
  return `<h2>How to verify</h2>
<p>No special program is needed. On macOS use <code>shasum -a 256</code> for <code>sha256sum</code>, in Windows PowerShell <code>Get-FileHash</code>.</p>
<ol>
<li>The seal must have the package digest above, as you got it from the sealer by another way:<pre>sha256sum ${name}.seal.json</pre></li>
${
  seal.archiveSha256 === undefined
    ? ""
    : `<li>The archive must have the archive SHA-256 above:<pre>sha256sum ${seal.archive}</pre></li>\n`
}<li>Unpack it. The manifest must have the manifest SHA-256 above, and every file the digest in it:<pre>tar xf ${seal.archive}
cd ${name}
sha256sum manifest.json
sha256sum -c manifest-sha256.txt</pre></li>
</ol>
<p>The folder is a BagIt bag (RFC 8493), so any BagIt program verifies it too; names holding %, CR or LF need one.</p>
`;
}

function listItem(path: string, note: string): string {
  return `<li><span class="path">${visibleText(path)}</span>${note}</li>\n`;
}

function filesHead(header: ManifestHeader): string {
  return `<h2>Files</h2>\n${header.fileCount === 0 ? "<p>The package holds no file.</p>\n" : ""}`;
}

function tableHead(row: number, count: number): string {
  const last = Math.min(row + ROWS_PER_TABLE, count);
  return `<div class="files"><table><caption>Files ${grouped(row + 1)} to ${grouped(last)} of ${grouped(count)}</caption>
<thead><tr><th scope="col">Path and SHA-256</th><th scope="col" class="size">Bytes</th><th scope="col" class="type">Media type</th><th scope="col" class="modified">Modified (UTC)</th></tr></thead>
<tbody>
`;
}

function fileRow(record: FileRecord): string {
  const other =
    record.mediaTypeByName === undefined
      ? ""
      : ` <span class="note">(the name says ${visibleText(record.mediaTypeByName)})</span>`;
  return `<tr><td><span class="path">${visibleText(record.path)}</span><span class="digest">${record.sha256}</span></td><td class="size">${grouped(record.size)}</td><td class="type">${visibleText(record.mediaType)}${other}</td><td class="modified">${record.modified.replace("T", " ").slice(0, -1)}</td></tr>\n`;
}

function amount(count: number, noun: string): string {
  // visibleText would show the narrow spaces of `grouped` as code points.
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** Digits in groups of three, separated by narrow no-break spaces as ISO 80000-1 asks. */
function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}
