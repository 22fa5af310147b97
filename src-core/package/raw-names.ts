/** Raw-byte names that are not valid Unicode are kept here, each file under the hex of its path's bytes. */
export const NON_UNICODE_FOLDER = "data/_nonutf8";

/** No component may be longer than 255 bytes anywhere; a component that is continued ends in "-", so no file is also a folder. */
export function hexPath(raw: Buffer): string {
  const components = raw.toString("hex").match(/.{1,200}/g) ?? [];
  return `${NON_UNICODE_FOLDER}/${components.join("-/")}`;
}

/** The raw bytes, as hex, of the path that a file under `_nonutf8` had below its source's parent folder; null for all other files. */
export function rawPathOf(path: string): string | null {
  return path.startsWith(`${NON_UNICODE_FOLDER}/`)
    ? path.slice(NON_UNICODE_FOLDER.length + 1).replaceAll("-/", "")
    : null;
}
