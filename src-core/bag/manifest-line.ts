export interface ManifestLine {
  /** As written: its case and length are not judged here. */
  readonly digest: string;
  /** As written: neither decoded nor normalised; may begin with md5sum's `*` and end in white space. */
  readonly path: string;
}

const LINE = /^([0-9A-Fa-f]+)[ \t]+(\S.*)$/s;

/**
 * Splits a line of a manifest, without its line end, at the first run of spaces and tabs (RFC 8493, section 2.1.3).
 * Null when it is not a hex digest, white space and a path.
 */
export function parseManifestLine(line: string): ManifestLine | null {
  const match = LINE.exec(line);
  if (match === null) return null;
  return { digest: match[1] ?? "", path: match[2] ?? "" };
}

/** Decodes what BagIt 1.0 encodes in a path, `%0A`, `%0D` and `%25` in either case, and nothing else (RFC 8493, section 2.1.3). */
export function decodeManifestPath(path: string): string {
  if (!path.includes("%")) return path;
  return path.replace(/%(0a|0d|25)/gi, (code) => {
    const digits = code.slice(1).toLowerCase();
    return digits === "25" ? "%" : digits === "0a" ? "\n" : "\r";
  });
}
