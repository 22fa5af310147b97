import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { buildBag, writeBag } from "./testing/build-bag.ts";
import { END, paxRecord, type TestEntry, tarEntry, tarOf } from "./testing/build-tar.ts";
import { validateBag } from "./validate-bag.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "hostile-"));
});
afterEach(() => rmSync(root, { recursive: true }));

const sound = (): Buffer[] =>
  [...buildBag()].map(([path, content]) => tarEntry({ name: `bag/${path}`, content }));
const withEntries = (...more: (TestEntry | Buffer)[]): Buffer =>
  Buffer.concat([
    ...sound(),
    ...more.map((entry) => (Buffer.isBuffer(entry) ? entry : tarEntry(entry))),
    END,
  ]);

async function validateBytes(bytes: Buffer) {
  const path = join(root, "archive");
  writeFileSync(path, bytes);
  const result = await validateBag(path);
  expect(readdirSync(root)).toEqual(["archive"]);
  return result.findings.map((finding) => finding.code);
}
const failsWith = (bytes: Buffer, code: string) =>
  expect(validateBytes(bytes)).rejects.toMatchObject({ failure: { code } });

const pax = (...records: Buffer[]): Buffer =>
  tarEntry({ name: "pax", type: "x", content: Buffer.concat(records) });
const base256 = (value: bigint): Buffer => {
  const field = Buffer.alloc(12);
  field.writeBigUInt64BE(value, 4);
  field[0] = 0x80;
  return field;
};

/** An entry in so many folders. */
const deep = (levels: number): Buffer =>
  Buffer.concat([
    pax(paxRecord("path", `bag/data/${"d/".repeat(levels)}f`)),
    tarEntry({ name: "bag/data/deep" }),
  ]);

const UNSAFE: readonly (readonly [string, () => Buffer])[] = [
  ["a path that leaves", () => withEntries({ name: "bag/../../x" })],
  ["a path that leaves its folder and comes back", () => withEntries({ name: "bag/data/../data/x" })],
  ["an absolute path", () => withEntries({ name: "/etc/passwd" })],
  ["a path that leaves on Windows", () => withEntries({ name: "bag/data\\..\\..\\x" })],
  ["a drive letter", () => withEntries({ name: "C:/x" })],
  ["a home folder", () => withEntries({ name: "~/x" })],
  ["an unsafe path in a pax header", () => withEntries(pax(paxRecord("path", "../x")), { name: "bag/x" })],
  ["a NUL in a pax path", () => withEntries(pax(paxRecord("path", "bag/x\0y")), { name: "bag/x" })],
  [
    "an unsafe GNU long name",
    () => withEntries({ name: "././@LongLink", type: "L", content: "../x\0" }, { name: "bag/x" }),
  ],
  ["an unsafe name that is not UTF-8", () => withEntries({ name: Buffer.from("../\xff", "latin1") })],
  ["a symbolic link", () => withEntries({ name: "bag/data/l", type: "2", link: "/etc/passwd" })],
  ["a hard link", () => withEntries({ name: "bag/data/l", type: "1", link: "bag/data/a.txt" })],
  ["a character device", () => withEntries({ name: "bag/data/d", type: "3" })],
  ["a block device", () => withEntries({ name: "bag/data/d", type: "4" })],
  ["a pipe", () => withEntries({ name: "bag/data/p", type: "6" })],
  ["an old GNU sparse file", () => withEntries({ name: "bag/data/s", type: "S" })],
  [
    "a pax sparse file",
    () => withEntries(pax(paxRecord("GNU.sparse.realsize", "999999")), { name: "bag/data/s" }),
  ],
  ["an unknown kind of entry", () => withEntries({ name: "bag/data/q", type: "Q" })],
  ["two entries of one path", () => withEntries({ name: "bag/data/a.txt", content: "other" })],
  ["two entries of one path, spelled otherwise", () => withEntries({ name: "bag/./data//a.txt" })],
  ["a file below a file", () => withEntries({ name: "bag/data/a.txt/b" })],
  ["a folder that is a file too", () => withEntries({ name: "bag/data/a.txt/", type: "5" })],
  ["more levels of folders than any system has", () => withEntries(deep(3000))],
  ["a name that no system can hold", () => withEntries(deep(40_000))],
  ["a folder with content", () => withEntries({ name: "bag/data/d", type: "5", content: "x" })],
  [
    "a pax header without measure",
    () => withEntries({ name: "p", type: "x", content: Buffer.alloc(1 << 21) }),
  ],
  [
    "a long name without measure",
    () => withEntries({ name: "l", type: "L", content: Buffer.alloc(1 << 17) }),
  ],
  [
    "a global header that renames",
    () => withEntries({ name: "g", type: "g", content: paxRecord("path", "bag/data/x") }),
  ],
];

const INVALID: readonly (readonly [string, () => Buffer])[] = [
  ["nothing", () => Buffer.alloc(0)],
  ["text", () => Buffer.from("just text\n".repeat(100))],
  ["cut within a header", () => withEntries().subarray(0, 700)],
  [
    "cut within content",
    () => tarOf([{ name: "bag/bagit.txt", content: "x".repeat(2000) }]).subarray(0, 1024),
  ],
  ["cut between entries", () => Buffer.concat(sound())],
  ["declared larger than its data", () => withEntries({ name: "bag/data/x", content: "x", size: 1 << 20 })],
  ["declared larger than any disk", () => withEntries({ name: "bag/x", sizeField: base256(1n << 52n) })],
  ["declared beyond 2^53", () => withEntries({ name: "bag/x", sizeField: base256(1n << 60n) })],
  ["a negative size", () => withEntries({ name: "bag/x", sizeField: Buffer.alloc(12, 0xff) })],
  ["a size that is no number", () => withEntries({ name: "bag/x", sizeField: Buffer.from("99999999999\0") })],
  [
    "a damaged header",
    () => {
      const bytes = tarOf([{ name: "bag/x" }, { name: "bag/y" }]);
      bytes[512 + 3] = 0x7a;
      return bytes;
    },
  ],
  ["a pax record without `=`", () => withEntries(pax(Buffer.from("5 ab\n")), { name: "bag/x" })],
  ["a pax record of a wrong length", () => withEntries(pax(Buffer.from("99 path=a\n")), { name: "bag/x" })],
  ["a pax record of no length", () => withEntries(pax(Buffer.from("path=a\n")), { name: "bag/x" })],
  ["a pax size that is no number", () => withEntries(pax(paxRecord("size", "-1")), { name: "bag/x" })],
  ["a pax size beyond its data", () => withEntries(pax(paxRecord("size", "999999")), { name: "bag/x" })],
];

describe("a tar", () => {
  it.each(UNSAFE)("is refused for %s", (_name, bytes) => failsWith(bytes(), "ARCHIVE_UNSAFE"));
  it.each(INVALID)("is no archive: %s", (_name, bytes) => failsWith(bytes(), "ARCHIVE_INVALID"));
  it.each(UNSAFE)("is refused when gzipped, for %s", (_name, bytes) =>
    failsWith(gzipSync(bytes()), "ARCHIVE_UNSAFE"),
  );
  it.each(INVALID.filter(([name]) => name !== "nothing" && name !== "text"))(
    "is no archive when gzipped: %s",
    (_name, bytes) => failsWith(gzipSync(bytes()), "ARCHIVE_INVALID"),
  );

  it.each([(bytes: Buffer) => bytes, (bytes: Buffer) => gzipSync(bytes)])(
    "is judged by what it holds where that is a matter of the bag (%#)",
    async (pack) => {
      const found = (bytes: Buffer) => validateBytes(pack(bytes));
      expect(await found(withEntries())).toEqual([]);
      expect(await found(Buffer.concat([withEntries(), Buffer.alloc(9 * 512)]))).toEqual([]);
      expect(await found(Buffer.concat([withEntries(), Buffer.from("hidden")]))).toEqual([
        "ARCHIVE_TRAILING_DATA",
      ]);
      expect(await found(withEntries().subarray(0, -512))).toEqual(["ARCHIVE_END_SHORT"]);
      expect(await found(withEntries({ name: "other/x" }))).toEqual(["ARCHIVE_SECOND_TOP_FOLDER"]);
      expect(await found(withEntries({ name: "x" }))).toEqual(["ARCHIVE_SECOND_TOP_FOLDER"]);
      const loose = tarOf([...buildBag()].map(([path, content]) => ({ name: `./${path}`, content })));
      expect(await found(loose)).toEqual(["ARCHIVE_NO_TOP_FOLDER"]);
      expect(await found(withEntries({ name: Buffer.from("bag/\xff", "latin1") }))).toEqual([
        "NAME_NOT_UNICODE",
      ]);
      expect(await found(withEntries({ name: "bag/data/", type: "5" }, { name: "bag/", type: "5" }))).toEqual(
        [],
      );
      expect(
        await found(withEntries({ name: "g", type: "g", content: paxRecord("comment", "from git") })),
      ).toEqual([]);
      expect(await found(withEntries(deep(2000)))).toEqual(["PAYLOAD_FILE_UNLISTED", "OXUM_MISMATCH"]);
      const long = `bag/data/${"n".repeat(300)}`;
      const gnu = [{ name: "././@LongLink", type: "L", content: `${long}\0` }, { name: long.slice(0, 100) }];
      expect(await found(withEntries(...gnu))).toEqual(["PAYLOAD_FILE_UNLISTED", "OXUM_MISMATCH"]);
    },
  );
});

describe("a gzip", () => {
  it("is no archive when it is cut, damaged, or holds no tar", async () => {
    const packed = gzipSync(withEntries());
    await failsWith(packed.subarray(0, packed.length - 20), "ARCHIVE_INVALID");
    const damaged = Buffer.from(packed);
    damaged[packed.length - 6] = (damaged[packed.length - 6] ?? 0) ^ 0xff;
    await failsWith(damaged, "ARCHIVE_INVALID");
    await failsWith(gzipSync("no tar"), "ARCHIVE_INVALID");
  });

  it("may not have bytes after its end", async () => {
    const packed = gzipSync(withEntries());
    await failsWith(Buffer.concat([packed, Buffer.from("garbage")]), "ARCHIVE_INVALID");
    const padded = Buffer.concat([packed, Buffer.from("\0\0\0garbage")]);
    expect(await validateBytes(padded)).toEqual(["ARCHIVE_TRAILING_DATA"]);
  });

  it("may be made of several members", async () => {
    const tar = withEntries();
    expect(gunzipSync(Buffer.concat([gzipSync(tar.subarray(0, 777)), gzipSync(tar.subarray(777))]))).toEqual(
      tar,
    );
    const packed = Buffer.concat([gzipSync(tar.subarray(0, 777)), gzipSync(tar.subarray(777))]);
    expect(await validateBytes(packed)).toEqual([]);
  });

  it("is refused when it is a bomb", async () => {
    const zeros = Buffer.alloc(300 * 1024 * 1024);
    const bytes = Buffer.concat([...sound(), tarEntry({ name: "bag/data/zeros", content: zeros }), END]);
    const sized = gzipSync(bytes, { level: 6 });
    expect(sized.length * 400).toBeLessThan(bytes.length);
    await failsWith(sized, "ARCHIVE_UNSAFE");
  });
});

it("stops reading an archive when asked", async () => {
  const path = await writeBag(root, buildBag(), "tar.gz");
  const signal = AbortSignal.abort();
  await expect(validateBag(path, { signal })).rejects.toMatchObject({ failure: { code: "CANCELLED" } });
});
