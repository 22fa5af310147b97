import type { Outcome } from "../../src-contract/failure.ts";
import { toOutcome } from "../failing.ts";
import { checkLayout, type Layout, type LayoutRequest } from "./check-layout.ts";

/** Reading headers and manifests blocks: it is done in a thread of the hash pool. */
export function run(request: LayoutRequest): Promise<Outcome<Layout>> {
  return toOutcome(() => checkLayout(request));
}
