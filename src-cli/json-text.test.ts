import { expect, test } from "vitest";
import { jsonChunks, jsonText } from "./json-text.ts";

test("writes what JSON.stringify writes", () => {
  const value = { a: [1, "x", null, true], b: { c: undefined, d: [] }, e: "\n\u001b", f: 1.5 };
  expect(jsonText(value)).toBe(JSON.stringify(value));
});

test("a long list comes in chunks that make one document", () => {
  const value = { list: Array.from({ length: 20_000 }, (_, index) => ({ path: `data/${index}\u202e` })) };
  const chunks = [...jsonChunks(value)];
  expect(chunks.length).toBeGreaterThan(1);
  expect(JSON.parse(chunks.join(""))).toEqual(value);
});
