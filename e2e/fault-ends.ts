import type { FailureCode } from "../src-contract/failure.ts";
import type { NamedFault, Step } from "./fault-steps.ts";

/** What no patience heals: it stops a command at the first occurrence, with a code of its own. */
const FOR_GOOD: readonly (readonly [RegExp, FailureCode])[] = [
  [/ExpiredToken|SignatureDoesNotMatch/, "CREDENTIALS_REFUSED"],
  [/RequestTimeTooSkewed/, "CLOCK_SKEWED"],
  [/AccessDenied/, "PERMISSION_MISSING"],
];

/** Once credentials are refused, they stay so at every request, until somebody mends them. */
export function isForGood({ name }: NamedFault): boolean {
  return FOR_GOOD.some(([which]) => which.test(name));
}

/** Nothing moves any more. */
export function isSilent({ name }: NamedFault): boolean {
  return /black hole|stalls/.test(name);
}

/** Damage that comes the same every time cannot be told from damage at rest. */
const BELIEVED: ReadonlySet<string> = new Set([
  ...["DIGEST_MISMATCH", "OBJECT_CONFLICT", "SEAL_INVALID", "NOT_VALID"],
  ...["not valid", "not verified"],
]);

/** Whether a command may so end for which a fault lasts at a step; `good` when it was done in spite of it. */
export function mayEnd(good: string, { operation }: Step, fault: NamedFault, end: string): boolean {
  const { name } = fault;
  const own = FOR_GOOD.find(([which]) => which.test(name));
  if (own !== undefined) return end === own[1];
  if (end === good) return true;
  if (name.startsWith("slow ")) return false;
  if (name === "404 NoSuchUpload") return end === "OBJECT_CHANGED" || end === "VAULT_UNREACHABLE";
  if (name === "bit flipped on the way down" && operation === "get") return BELIEVED.has(end);
  return end === "VAULT_UNREACHABLE";
}
