import fc from "fast-check";
import { expect, test } from "vitest";
import { comparePaths } from "./path-order.ts";

test("orders as Buffer.compare orders the UTF-8 bytes", () => {
  const edge = fc.constantFrom(
    "a",
    "\u0080",
    "\ud7ff",
    "\ue000",
    "\uff5e",
    "\uffff",
    "\u{10000}",
    "\u{1f600}",
    "\u{10ffff}",
  );
  const path = fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: edge }));
  fc.assert(
    fc.property(path, path, path, (prefix, a, b) => {
      const [x, y] = [prefix + a, prefix + b];
      expect(Math.sign(comparePaths(x, y))).toBe(Buffer.compare(Buffer.from(x), Buffer.from(y)));
    }),
  );
});

test("puts what lies beyond U+FFFF after U+FF5E", () => {
  expect(comparePaths("data/\u{1f600}", "data/\uff5e")).toBeGreaterThan(0);
  expect(comparePaths("data/\ud7ff", "data/\u{1f600}")).toBeLessThan(0);
});
