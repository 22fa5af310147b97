import type { Seal } from "../../src-contract/seal.ts";

/** The name of a sealed package: of its archive without `.tar`, and of the one folder in that. */
export function packageName(seal: Pick<Seal, "archive">): string {
  return seal.archive.slice(0, -".tar".length);
}
