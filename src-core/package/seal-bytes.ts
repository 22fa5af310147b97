import type { Seal } from "../../src-contract/seal.ts";
import { canonicalJson } from "./canonical-json.ts";

/** seal.json, canonical (RFC 8785): the same seal has the same bytes everywhere. */
export function sealBytes(seal: Seal): Buffer {
  return Buffer.from(canonicalJson(seal));
}
