import { expect, test } from "vitest";
import type { Finding } from "../src-contract/findings.ts";
import { findingsText, findingTotals } from "./findings-text.ts";

const plain = (_: unknown, text: string) => text;

function finding(more: Partial<Finding>): Finding {
  return { code: "DIGEST", severity: "error", rule: "RFC 8493 3", message: "differs", ...more };
}

test("findings stand by code, errors before warnings, expected and actual together", () => {
  const digest = "ab".repeat(32);
  const text = [
    ...findingsText(
      [
        finding({ code: "LITTER", severity: "warning", path: "data/.DS_Store", message: "is litter" }),
        finding({ path: "data/a", expected: digest, actual: digest }),
        finding({ path: "data/b\u001b", expected: "12", actual: "13" }),
      ],
      plain,
    ),
  ].join("");
  expect(text).toBe(
    [
      "",
      "  DIGEST  2 errors  (RFC 8493, section 3)",
      "    data/a: differs",
      `      expected  ${digest}`,
      `      actual    ${digest}`,
      "    data/b\\x1b: differs",
      "      expected  12    actual    13",
      "",
      "  LITTER  1 warning  (RFC 8493, section 3)",
      "    data/.DS_Store: is litter",
      "",
    ].join("\n"),
  );
});

test("at most 50 of a code are shown", () => {
  const many = Array.from({ length: 1060 }, (_, index) => finding({ path: `data/${index}` }));
  const text = [...findingsText(many, plain)].join("");
  expect(text.split("\n").filter((line) => line.endsWith(": differs"))).toHaveLength(50);
  expect(text).toContain("    and 1,010 more (--json lists all)\n");
});

test("totals", () => {
  expect(findingTotals(0, 0)).toBe("none");
  expect(findingTotals(1, 2)).toBe("1 error, 2 warnings");
});
