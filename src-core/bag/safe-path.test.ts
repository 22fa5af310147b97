import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { normalisePath, unsafePathReason } from "./safe-path.ts";

describe("unsafePathReason", () => {
  it.each([
    ["../x"],
    ["data/../x"],
    ["data/../../x"],
    ["data/a\\..\\..\\x"],
    [".."],
    ["/etc/passwd"],
    ["//server/share/x"],
    ["./../x"],
    [".//../x"],
    ["./~/x"],
    ["~"],
    ["~/x"],
    ["~root/x"],
    ["C:\\x"],
    ["c:/x"],
    ["C:x"],
    ["./C:/x"],
    ["%HomeDrive%\\x"],
    ["%TEMP%/x"],
    ["\\\\?\\UNC\\server\\share\\x"],
    ["\\\\server\\share\\x"],
    ["\\x"],
    ["data\\x"],
    ["data/x\0y"],
    [""],
  ])("refuses %j", (path) => {
    expect(unsafePathReason(path)).not.toBeNull();
  });

  it.each([
    ["data/x"],
    ["./data/x"],
    ["data/./x"],
    ["data/..x"],
    ["data/x.."],
    ["data/..."],
    ["data/~x"],
    ["data/%7E/%TEMP%"],
    ["data/C:/x"],
    ["data/a\\b"],
    ["data/ x "],
    ["bagit.txt"],
  ])("accepts %j", (path) => {
    expect(unsafePathReason(path)).toBeNull();
  });

  it("lets no accepted path leave its folder, with either separator", () => {
    const segment = fc.constantFrom("..", ".", "", "a", "~", "C:", "%X%", "data", "...");
    const separator = fc.constantFrom("/", "\\", "//");
    fc.assert(
      fc.property(fc.array(fc.tuple(segment, separator), { maxLength: 8 }), (pieces) => {
        const path = pieces.flat().join("");
        if (unsafePathReason(path) !== null) return;
        const segments = normalisePath(path).split(/[/\\]/);
        expect(segments).not.toContain("..");
        expect(normalisePath(path)).not.toMatch(/^([/\\~]|[A-Za-z]:|%[^%]+%)/);
      }),
    );
  });
});

describe("normalisePath", () => {
  it.each([
    ["./data/x", "data/x"],
    ["data//x", "data/x"],
    ["data/./x", "data/x"],
    ["././data/x/.", "data/x"],
    ["data/x/", "data/x"],
    ["data/x. /y.", "data/x. /y."],
    ["data/.hidden", "data/.hidden"],
  ])("turns %j into %j", (path, normal) => {
    expect(normalisePath(path)).toBe(normal);
  });
});
