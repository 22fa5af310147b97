import type { Inventory } from "./inventory.ts";
import { decodeManifestPath } from "./manifest-line.ts";
import type { BagFindingCode } from "./rules.ts";
import { normalisePath, unsafePathReason } from "./safe-path.ts";

/** What a path out of a manifest or fetch.txt stands for. */
export type ListedPath =
  | { readonly unsafe: string }
  | { readonly folder: true }
  | {
      readonly path: string;
      /** A file that is there; undefined when none fits. */
      readonly file: number | undefined;
      /** Warnings about how the path is spelled. */
      readonly notes: readonly BagFindingCode[];
    };

const NO_NOTES: readonly BagFindingCode[] = [];

/**
 * Finds the file that a listed path means. With `decodes` (BagIt 1.0) %0A, %0D and %25 are decoded, and the path as written is tried
 * when no file has the decoded name; before 1.0 nothing is decoded. Last, names are compared by their NFC form.
 * `*` before the path (md5sum's binary mark) is taken off unless a file really has that name.
 */
export function findListedPath(inventory: Inventory, listed: string, decodes: boolean): ListedPath {
  const notes: BagFindingCode[] = [];
  let written = listed;
  if (written.startsWith("*") && inventory.find(written) === undefined) {
    written = written.slice(1);
    notes.push("MANIFEST_MD5SUM_STAR");
  }
  const unsafe = unsafePathReason(written);
  if (unsafe !== null) return { unsafe };
  if (/(^|\/)\.?$/.test(written)) return { folder: true };
  const normal = normalisePath(written);
  if (normal !== written) notes.push("MANIFEST_PATH_NOT_NORMAL");
  const path = decodes ? decodeManifestPath(normal) : normal;
  const stillUnsafe = path === normal ? null : unsafePathReason(path);
  if (stillUnsafe !== null) return { unsafe: stillUnsafe };
  let file = inventory.find(path);
  if (!isThere(inventory, file) && path !== normal && isThere(inventory, inventory.find(normal))) {
    notes.push("MANIFEST_PATH_LEGACY_ENCODING");
    file = inventory.find(normal);
  }
  if (!isThere(inventory, file)) {
    const other = inventory.findByForm(path);
    if (other !== undefined) {
      notes.push("MANIFEST_PATH_UNICODE_FORM");
      file = other;
    }
  }
  return { path, file, notes: notes.length === 0 ? NO_NOTES : notes };
}

function isThere(inventory: Inventory, file: number | undefined): boolean {
  return file !== undefined && inventory.isPresent(file);
}
