import { join } from "node:path";
import type { Seal } from "../../src-contract/seal.ts";

/** The name of a sealed package: of its archive without `.tar`, and of the one folder in that. */
export function packageName(seal: Pick<Seal, "archive">): string {
  return seal.archive.slice(0, -".tar".length);
}

/** Where the seal and the signatures lie that belong to an archive, or to its bag, in a folder outside of a vault (DESIGN.md, section 4). */
export function besidePackage(
  seal: Pick<Seal, "archive">,
  folder: string,
): { readonly sealFile: string; readonly signatures: string } {
  const base = join(folder, packageName(seal));
  return { sealFile: `${base}.seal.json`, signatures: `${base}.signatures` };
}
