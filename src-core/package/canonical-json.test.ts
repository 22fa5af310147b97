import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalJson } from "./canonical-json.ts";

describe("test vectors of RFC 8785", () => {
  test("section 3.2.2, sample object", () => {
    const value = JSON.parse(
      String.raw`{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}`,
    );
    const expected =
      "7b226c69746572616c73223a5b6e756c6c2c747275652c66616c73655d2c226e756d62657273223a5b3333333333333333332e333333333333332c31652b33302c342e352c302e3030322c31652d32375d2c22737472696e67223a22e282ac245c75303030665c6e4127425c225c5c5c5c5c222f227d";
    expect(Buffer.from(canonicalJson(value)).toString("hex")).toBe(expected);
  });

  test("section 3.2.3, order of members", () => {
    const value = {
      "\u20ac": "Euro Sign",
      "\r": "Carriage Return",
      "\ufb33": "Hebrew Letter Dalet With Dagesh",
      "1": "One",
      "\ud83d\ude00": "Emoji: Grinning Face",
      "\u0080": "Control",
      "\u00f6": "Latin Small Letter O With Diaeresis",
    };
    const order = Object.values(value).sort(
      (a, b) => canonicalJson(value).indexOf(a) - canonicalJson(value).indexOf(b),
    );
    expect(order).toEqual([
      "Carriage Return",
      "One",
      "Control",
      "Latin Small Letter O With Diaeresis",
      "Euro Sign",
      "Emoji: Grinning Face",
      "Hebrew Letter Dalet With Dagesh",
    ]);
  });

  test.each([
    ["0000000000000000", "0"],
    ["8000000000000000", "0"],
    ["0000000000000001", "5e-324"],
    ["8000000000000001", "-5e-324"],
    ["7fefffffffffffff", "1.7976931348623157e+308"],
    ["ffefffffffffffff", "-1.7976931348623157e+308"],
    ["4340000000000000", "9007199254740992"],
    ["c340000000000000", "-9007199254740992"],
    ["4430000000000000", "295147905179352830000"],
    ["44b52d02c7e14af5", "9.999999999999997e+22"],
    ["44b52d02c7e14af6", "1e+23"],
    ["44b52d02c7e14af7", "1.0000000000000001e+23"],
    ["444b1ae4d6e2ef4e", "999999999999999700000"],
    ["444b1ae4d6e2ef4f", "999999999999999900000"],
    ["444b1ae4d6e2ef50", "1e+21"],
    ["3eb0c6f7a0b5ed8c", "9.999999999999997e-7"],
    ["3eb0c6f7a0b5ed8d", "0.000001"],
    ["41b3de4355555553", "333333333.3333332"],
    ["41b3de4355555554", "333333333.33333325"],
    ["41b3de4355555555", "333333333.3333333"],
    ["41b3de4355555556", "333333333.3333334"],
    ["41b3de4355555557", "333333333.33333343"],
    ["becbf647612f3696", "-0.0000033333333333333333"],
    ["43143ff3c1cb0959", "1424953923781206.2"],
  ])("appendix B, %s", (bits, expected) => {
    expect(canonicalJson(Buffer.from(bits, "hex").readDoubleBE())).toBe(expected);
  });
});

test.each([
  ["undefined", undefined],
  ["a member that is undefined", { a: undefined }],
  ["a hole", new Array(1)],
  ["NaN", Number.NaN],
  ["infinity", [Number.NEGATIVE_INFINITY]],
  ["a lone surrogate", "\ud800"],
  ["a lone surrogate as name", { "\udc00": 1 }],
  ["a bigint", 1n],
  ["a function", () => 1],
  ["a date", new Date(0)],
  ["a map", new Map()],
])("refuses %s", (_name, value) => {
  expect(() => canonicalJson(value)).toThrow(TypeError);
});

test("is JSON of the same value, whatever the order of members was", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      // JSON itself turns -0 into 0.
      const plain: unknown = JSON.parse(JSON.stringify(value));
      let text: string;
      try {
        text = canonicalJson(plain);
      } catch {
        return expect(JSON.stringify(plain)).toMatch(/\\ud[89a-f]/);
      }
      expect(JSON.parse(text)).toEqual(plain);
      expect(canonicalJson(JSON.parse(text))).toBe(text);
    }),
  );
});
