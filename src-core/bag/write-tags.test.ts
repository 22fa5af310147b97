import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeManifestPath, parseManifestLine } from "./manifest-line.ts";
import { bagInfoTxt, bagitTxt, manifestLine } from "./write-tags.ts";

const digest = "ab".repeat(32);
const bagPath = fc.string({ unit: "binary" }).map((name) => `data/${name}`);

describe("manifest lines", () => {
  it("round-trip any path, on one line", () => {
    fc.assert(
      fc.property(bagPath, (path) => {
        const line = manifestLine(digest, path);
        expect(line.slice(0, -1)).not.toMatch(/[\r\n]/);
        const parsed = parseManifestLine(line.slice(0, -1));
        expect(parsed?.digest).toBe(digest);
        expect(decodeManifestPath(parsed?.path ?? "")).toBe(path);
      }),
    );
  });

  it("encode %, CR and LF and nothing else", () => {
    expect(manifestLine(digest, "data/100%\r\n~ é")).toBe(`${digest}  data/100%25%0D%0A~ é\n`);
  });

  it("decode each code once, in either case", () => {
    expect(decodeManifestPath("data/%250A%0a%7E%41%")).toBe("data/%0A\n%7E%41%");
  });

  it.each([
    ["ab data/x", "ab", "data/x"],
    ["AB\tdata/x", "AB", "data/x"],
    ["ab \t  data/x y ", "ab", "data/x y "],
    ["ab *data/x", "ab", "*data/x"],
  ])("parse %j", (line, hex, path) => {
    expect(parseManifestLine(line)).toEqual({ digest: hex, path });
  });

  it.each([["ab"], ["ab "], ["data/x ab"], [" ab data/x"], ["\\ab  data/x"], ["# comment"], ["xyz data/x"]])(
    "do not parse %j",
    (line) => {
      expect(parseManifestLine(line)).toBeNull();
    },
  );
});

describe("bag-info.txt", () => {
  it("writes one line for each entry, whatever the value holds", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary" })), (values) => {
        const text = bagInfoTxt(values.map((value) => ["Label", value] as const));
        const lines = text.split(/\r\n|\r|\n/);
        expect(lines).toHaveLength(values.length + 1);
        for (const line of lines.slice(0, -1)) expect(line).toMatch(/^Label: /);
      }),
    );
  });

  it("folds a value that tries to begin another label", () => {
    expect(bagInfoTxt([["Title", "a\r\nPayload-Oxum: 0.0"]])).toBe("Title: a Payload-Oxum: 0.0\n");
  });

  it.each([[""], ["a:b"], [" a"], ["a "], ["a\nb"], ["a\tb"]])("refuses the label %j", (label) => {
    expect(() => bagInfoTxt([[label, "x"]])).toThrowError(
      expect.objectContaining({ failure: expect.objectContaining({ code: "INVALID_INPUT" }) }),
    );
  });
});

it("declares version 1.0 and UTF-8", () => {
  expect(bagitTxt()).toBe("BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n");
});
