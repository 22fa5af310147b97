import { dirname } from "node:path";

/** Whether a path is another one or lies below it; both absolute and without links. */
export function isWithin(inner: string, outer: string): boolean {
  let folder = inner;
  for (;;) {
    if (folder === outer) return true;
    const parent = dirname(folder);
    if (parent === folder) return false;
    folder = parent;
  }
}
