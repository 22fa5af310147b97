import { type FailureError, fail } from "../failing.ts";

/** What to throw when a key holds something else than what was to be stored. */
export function conflict(key: string): FailureError {
  return fail(
    "OBJECT_CONFLICT",
    `Other bytes are already stored as ${key}.`,
    "Nothing stored is ever rewritten; compare the two.",
    { subject: key },
  );
}
