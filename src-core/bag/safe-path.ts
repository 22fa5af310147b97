const LEAVES = "leaves its folder (`..`)";

/**
 * Why a path out of a manifest, fetch.txt or an archive must not be used, or null when it is safe; the answer is the same on every system.
 * Refused: `..` as a segment (also between backslashes), absolute paths, `~` and `~user`, drive letters, `%VAR%`, UNC and device paths,
 * a backslash as separator of the first segment, NUL, the empty path (RFC 8493, sections 2.1.3 and 5.1).
 * A backslash in a later segment is a plain character of a POSIX name, safe everywhere since no `..` can hide behind it.
 * Give it the path as it will be used: after percent-decoding as well as before.
 */
export function unsafePathReason(path: string): string | null {
  if (path === "") return "is empty";
  if (path.includes("\0")) return "holds a NUL character";
  if (path.startsWith("/")) return "is absolute";
  if (path.startsWith("\\")) return "is absolute, a UNC path or a device path";
  if (path.startsWith("~")) return "begins with `~`, which a shell replaces by a home folder";
  if (/^[A-Za-z]:/.test(path)) return "begins with a drive letter";
  if (/^%[^%/\\]+%/.test(path)) return "begins with a variable that a shell replaces";
  if (path.includes("..") && path.split(/[/\\]/).includes("..")) return LEAVES;
  const first = path.indexOf("/");
  if (path.slice(0, first === -1 ? path.length : first).includes("\\")) return "has a backslash as separator";
  // `./~user`, `.//x` and the like must not become one of the forms above when they are normalised.
  if (path.startsWith("./") || path.startsWith(".\\")) return unsafeRest(path);
  return null;
}

function unsafeRest(path: string): string | null {
  const rest = normalisePath(path);
  return rest === "" || rest === path ? null : unsafePathReason(rest);
}

/** Drops `.` and empty segments: `./data//x` becomes `data/x`. Says nothing about safety; a trailing slash is dropped too. */
export function normalisePath(path: string): string {
  if (!path.includes("./") && !path.includes("//") && !/(^|\/)\.?$/.test(path)) return path;
  return path
    .split("/")
    .filter((segment) => segment !== "" && segment !== ".")
    .join("/");
}
