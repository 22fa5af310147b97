import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type TagEncoding, tagLines } from "./tag-text.ts";
import { type BagPlan, buildBag, replaceIn, writeBag } from "./testing/build-bag.ts";
import { validateBag } from "./validate-bag.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "bag-rules-"));
});
afterEach(() => rmSync(root, { recursive: true }));

const codes = (findings: readonly { code: string }[]): string[] => findings.map((finding) => finding.code);
const validate = async (plan: BagPlan) => validateBag(await writeBag(root, buildBag(plan)));

const manifest = "manifest-sha256.txt";

/** All lines of a text that comes one byte at a time, and what is said of them. */
async function linesOfBytes(bytes: Buffer, kind: TagEncoding["kind"]): Promise<string[]> {
  async function* oneByOne() {
    for (const byte of bytes) yield Uint8Array.of(byte);
  }
  const heard: string[] = [];
  const encoding = kind === "other" ? { kind, label: "utf-16le" } : { kind };
  for await (const lines of tagLines(oneByOne(), encoding, (code, line) => heard.push(`${code} ${line}`))) {
    heard.push(...lines);
  }
  return heard;
}
describe("tag files", () => {
  it.each(["UTF-16LE", "UTF-16BE"] as const)("reads tag files in %s", async (order) => {
    const encode = (bytes: Buffer): Buffer => {
      const little = Buffer.from(`\ufeff${bytes.toString("utf8")}`, "utf16le");
      return order === "UTF-16LE" ? little : little.swap16();
    };
    const recode = (files: Map<string, Buffer>): void => {
      for (const [path, bytes] of files) {
        if (/^(manifest|tagmanifest|bag-info)/.test(path)) files.set(path, encode(bytes));
      }
    };
    const { findings } = await validate({
      encoding: "UTF-16",
      payload: { "data/ž": "x" },
      edit: recode,
      spoil: (files) => {
        const path = "tagmanifest-sha256.txt";
        files.set(path, encode(files.get(path) ?? Buffer.from("")));
      },
    });
    expect(findings).toEqual([]);
  });

  it("reads tag files in ISO-8859-1, not in windows-1252", async () => {
    const { findings } = await validate({
      encoding: "ISO-8859-1",
      payload: { "data/é\u0080": "x" },
      edit: (files) => {
        files.set(manifest, Buffer.from(files.get(manifest)?.toString("utf8") ?? "", "latin1"));
      },
    });
    expect(findings).toEqual([]);
  });

  it("holds the parts of a manifest that comes in many pieces together", async () => {
    const payload = Object.fromEntries(
      Array.from({ length: 20_000 }, (_, i) => [`data/${"é".repeat(i % 40)}${i}`, ""]),
    );
    for (const end of ["\n", "\r\n", "\r"]) {
      const files = buildBag({ payload, edit: (f) => replaceIn(f, manifest, /\n/g, end) });
      expect((await validateBag(await writeBag(root, files, "tar.gz"))).findings).toEqual([]);
    }
  });

  it("reads what comes one byte at a time", async () => {
    const text = "ab  é\r\n\rc\nd";
    const lines = ["ab  é", "", "c", "d"];
    const little = Buffer.from(`\ufeff${text}`, "utf16le");
    expect(await linesOfBytes(Buffer.from(text), "utf8")).toEqual(lines);
    expect(await linesOfBytes(Buffer.from(`\ufeff${text}`), "utf8")).toEqual(["TAG_FILE_BOM 0", ...lines]);
    expect(await linesOfBytes(Buffer.from(text, "latin1"), "latin1")).toEqual(lines);
    expect(await linesOfBytes(little, "utf16")).toEqual(lines);
    expect(await linesOfBytes(Buffer.from(little).swap16(), "utf16")).toEqual(lines);
    expect(await linesOfBytes(little, "other")).toEqual(lines);
    expect(await linesOfBytes(Buffer.from("a"), "utf16")).toEqual(["TAG_FILE_NOT_DECODABLE 1", "\ufffd"]);
  });

  it("drops a line without end, and reads on", async () => {
    const { findings } = await validate({
      edit: (files) => replaceIn(files, manifest, /^/, `${"z".repeat(9_000_000)}\n`),
    });
    expect(codes(findings)).toEqual(["TAG_FILE_LINE_TOO_LONG"]);
  });
});
