import { describe, expect, test } from "vitest";
import { columnsOf, cutToColumns, harmlessJson, visible } from "./terminal-text.ts";

describe("visible", () => {
  test.each([
    ["plain.txt", "plain.txt"],
    ["Prüfung/日本.txt", "Prüfung/日本.txt"],
    ["a\nb\r\tc", "a\\nb\\r\\tc"],
    ["\u001b[2Jgone", "\\x1b[2Jgone"],
    ["\u009b31m", "\\x9b31m"],
    ["nul\0del\u007f", "nul\\x00del\\x7f"],
    ["invoice\u202egpj.exe", "invoice\\u202egpj.exe"],
    ["a\u2066b\u2069", "a\\u2066b\\u2069"],
    ["zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"],
    ["line\u2028para\u2029", "line\\u2028para\\u2029"],
    ["tag\u{e0041}", "tag\\u{e0041}"],
    ["lone \ud800 half", "lone \\ud800 half"],
    ["no\u00a0break", "no\\xa0break"],
    [" both ", "\\x20both\\x20"],
  ])("%j becomes %j", (raw, shown) => {
    expect(visible(raw)).toBe(shown);
  });
});

test("harmless JSON parses to the same value and holds no raw format character", () => {
  const value = { path: "a\u202eb\u009bc\u2028d\u{e0041}\n\u001b\ud800" };
  const json = harmlessJson(JSON.stringify(value));
  expect(JSON.parse(json)).toEqual(value);
  expect(json).toMatch(/^[\x20-\x7e]*$/);
});

test("columns count wide characters twice and combining marks not at all", () => {
  expect(columnsOf("abc")).toBe(3);
  expect(columnsOf("日本")).toBe(4);
  expect(columnsOf("e\u0301")).toBe(1);
});

test("cutting keeps within the columns and marks the cut", () => {
  expect(cutToColumns("abcdef", 6)).toBe("abcdef");
  expect(cutToColumns("abcdef", 4)).toBe("abc…");
  expect(cutToColumns("日本語", 4)).toBe("日…");
  expect(cutToColumns("abc", 0)).toBe("");
});
