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
  let text = `{"path":${JSON.stringify(record.path)},"size":${record.size},"sha256":"${record.sha256}"`;
  if (record.sha512 !== undefined) text += `,"sha512":"${record.sha512}"`;
  text += `,"offset":${record.offset},"mediaType":${JSON.stringify(record.mediaType)}`;
  if (record.mediaTypeByName !== undefined) {
    text += `,"mediaTypeByName":${JSON.stringify(record.mediaTypeByName)}`;
  }
  text += `,"modified":${JSON.stringify(record.modified)}`;
  if (record.source !== undefined) {
    const { born, owner, mode, rawPath } = record.source;
    text += `,"source":${JSON.stringify({ born, owner, mode, rawPath })}`;
  }
  return `${text}}`;
}

export function omissionText({ path, reason }: Omission): string {
  return `{"path":${JSON.stringify(path)},"reason":"${reason}"}`;
}
