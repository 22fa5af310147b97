import { existsSync, readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { validateBag } from "../validate-bag.ts";

/**
 * The Library of Congress suite lies beside the repository and is never copied into it. What each bag must yield was written down
 * before this validator first ran; a changed expectation has its own commit with the reason.
 */
const SUITE = resolve(import.meta.dirname, "../../../../shared/bagit-conformance-suite");

interface Expectation {
  readonly verdict: string;
  /** A finding that must be among the findings. */
  readonly code?: string;
  /** Section of RFC 8493. */
  readonly section: string;
}
const expected: Readonly<Record<string, Expectation>> = JSON.parse(
  readFileSync(resolve(import.meta.dirname, "expected.json"), "utf8"),
);

const present = existsSync(SUITE);
if (!present) process.stderr.write(`BagIt conformance suite not found at ${SUITE}: its tests are skipped.\n`);

it.runIf(process.env.CI === "true")("is there when CI runs", () => {
  expect(present, `the conformance suite must lie at ${SUITE}`).toBe(true);
});

describe.runIf(present)("BagIt conformance suite", () => {
  it("is covered whole", () => {
    const found = readdirSync(SUITE, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && entry.name.startsWith("v"))
      .flatMap((version) =>
        readdirSync(`${SUITE}/${version.name}`).flatMap((kind) =>
          readdirSync(`${SUITE}/${version.name}/${kind}`, { withFileTypes: true })
            .filter((bag) => bag.isDirectory())
            .map((bag) => `${version.name}/${kind}/${bag.name}`),
        ),
      );
    expect(Object.keys(expected).toSorted()).toEqual(found.toSorted());
  });

  it.each(Object.entries(expected))("%s", async (bag, { verdict, code }) => {
    const { findings } = await validateBag(`${SUITE}/${bag}`);
    const errors = findings.filter((finding) => finding.severity === "error");
    if (verdict === "valid") expect(errors).toEqual([]);
    else expect(errors).not.toEqual([]);
    if (code !== undefined) expect(findings.map((finding) => finding.code)).toContain(code);
    if (verdict !== "valid" && code !== undefined)
      expect(errors.map((finding) => finding.code)).toContain(code);
  });
});
