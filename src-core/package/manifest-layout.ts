import type { FileRecord, Omission } from "../../src-contract/manifest.ts";

/** Longest line of manifest.json in bytes, without its LF; a reader needs no more memory than this for one record. */
export const MAX_LINE_BYTES = 1024 * 1024;

/** The lists of manifest.json in the order in which they are written. */
export const LISTS = ["emptyFolders", "omitted", "files"] as const;
export type ListName = (typeof LISTS)[number];

/** The line that opens a list; `],` closes it, or `]}` after the last one. */
export function openingLine(list: ListName): string {
  return `"${list}":[`;
}

export function closingLine(list: ListName): string {
  return list === "files" ? "]}" : "],";
}

/**
 * One file record as manifest.json writes it, without separator. There is one way only to write a record: a reader that holds
 * a line against this refuses repeated keys, which JSON parsers resolve differently.
 * Digests are written as they are, so they must be hex.
 */
export function recordText(record: FileRecord): string {
  const { path, size, sha256, sha512, offset, mediaType, mediaTypeByName, modified, source } = record;
  let text = `{"path":${quoted(path)},"size":${size},"sha256":"${sha256}"`;
  if (sha512 !== undefined) text += `,"sha512":"${sha512}"`;
  text += `,"offset":${offset},"mediaType":${quoted(mediaType)}`;
  if (mediaTypeByName !== undefined) text += `,"mediaTypeByName":${quoted(mediaTypeByName)}`;
  text += `,"modified":${quoted(modified)}`;
  if (source !== undefined) text += `,"source":${sourceText(source)}`;
  return `${text}}`;
}

function sourceText({ born, owner, mode, rawPath }: NonNullable<FileRecord["source"]>): string {
  let text = "";
  if (born !== undefined) text += `,"born":${quoted(born)}`;
  if (owner !== undefined) text += `,"owner":${quoted(owner)}`;
  if (mode !== undefined) text += `,"mode":${quoted(mode)}`;
  if (rawPath !== undefined) text += `,"rawPath":${quoted(rawPath)}`;
  return `{${text.slice(1)}}`;
}

/** Printable ASCII but for the quotation mark and the backslash: JSON writes it as it is, and this test is faster than JSON.stringify. */
const PLAIN = /^[ !#-[\]-~]*$/;

function quoted(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text);
}

export function omissionText({ path, reason }: Omission): string {
  return `{"path":${JSON.stringify(path)},"reason":"${reason}"}`;
}
