import { expect, test } from "vitest";
import { failureText } from "./failure-text.ts";

test("a failure says what and what next, on lines that hold no raw control character", () => {
  const text = failureText({
    code: "PATH_NOT_FOUND",
    message: "/x/\u001b[2Ja\nb does not exist.",
    nextStep: "Check the path.",
  });
  expect(text).toBe("error: /x/\\x1b[2Ja\\nb does not exist.\nnext: Check the path.\n");
});

test("lists of paths are shown up to 20", () => {
  const changed = Array.from({ length: 23 }, (_, index) => `data/${index}.txt`);
  const text = failureText({
    code: "SOURCE_CHANGED",
    message: "Files changed.",
    nextStep: "Build it again.",
    details: { changed, expected: 3 },
  });
  const lines = text.trimEnd().split("\n");
  expect(lines).toHaveLength(1 + 1 + 20 + 1 + 1 + 1);
  expect(lines[21]).toBe("    data/19.txt");
  expect(lines[22]).toBe("    and 3 more (--json lists all)");
  expect(lines[23]).toBe("  expected: 3");
});

test("records in a list show code, path and message", () => {
  const text = failureText({
    code: "PREFLIGHT_BLOCKED",
    message: "Not sealed.",
    nextStep: "Rename them.",
    details: {
      findings: [{ code: "NAME_NOT_UNICODE", path: "a\u202e", message: "is not Unicode" }, { size: 2 }],
    },
  });
  expect(text).toContain("    NAME_NOT_UNICODE  a\\u202e  is not Unicode\n    size 2\n");
});
