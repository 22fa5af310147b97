import { createWriteStream, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ZipFile } from "yazl";
import { buildBag } from "./testing/build-bag.ts";
import { validateBag } from "./validate-bag.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "hostile-"));
});
afterEach(() => rmSync(root, { recursive: true }));

async function validateBytes(bytes: Buffer) {
  const path = join(root, "archive");
  writeFileSync(path, bytes);
  const result = await validateBag(path);
  expect(readdirSync(root)).toEqual(["archive"]);
  return result.findings.map((finding) => finding.code);
}
const failsWith = (bytes: Buffer, code: string) =>
  expect(validateBytes(bytes)).rejects.toMatchObject({ failure: { code } });

interface ZipPlan {
  readonly name: string;
  readonly content?: Buffer;
  readonly mode?: number;
  readonly compress?: boolean;
  readonly forceZip64Format?: boolean;
}

async function zipOf(plans: readonly ZipPlan[]): Promise<Buffer> {
  const zip = new ZipFile();
  for (const { name, content = Buffer.alloc(0), ...options } of plans) zip.addBuffer(content, name, options);
  zip.end();
  const path = join(root, "made");
  await pipeline(zip.outputStream, createWriteStream(path));
  const bytes = readFileSync(path);
  rmSync(path);
  return bytes;
}
const soundZip = (...more: ZipPlan[]) =>
  zipOf([...[...buildBag()].map(([path, content]) => ({ name: `bag/${path}`, content })), ...more]);
/** Replaces all occurrences of a name, whose length stays, in a zip's headers. */
const rename = (zip: Buffer, from: string, to: string, occurrences: readonly number[] = [0, 1]): Buffer => {
  const bytes = Buffer.from(zip);
  let at = -1;
  for (let i = 0; i < 2; i += 1) {
    at = bytes.indexOf(from, at + 1);
    if (occurrences.includes(i)) bytes.write(to, at);
  }
  return bytes;
};
/** Where the central directory's record of a name begins. */
const central = (zip: Buffer, name: string): number => zip.lastIndexOf(name) - 46;
/** Where the header before its content begins. */
const local = (zip: Buffer, name: string): number => zip.indexOf(name) - 30;
/** Declares another size in both headers. */
const declare = (zip: Buffer, name: string, size: number): void => {
  zip.writeUInt32LE(size, central(zip, name) + 24);
  zip.writeUInt32LE(size, local(zip, name) + 22);
};

describe("a zip", () => {
  it("may use zip64 and stored entries, and has its findings as any bag", async () => {
    const files = [...buildBag()].map(([path, content]) => ({ name: `bag/${path}`, content }));
    expect(await validateBytes(await zipOf(files.map((f) => ({ ...f, compress: false }))))).toEqual([]);
    expect(await validateBytes(await zipOf(files.map((f) => ({ ...f, forceZip64Format: true }))))).toEqual(
      [],
    );
    expect(await validateBytes(await soundZip({ name: "other/x" }))).toEqual(["ARCHIVE_SECOND_TOP_FOLDER"]);
    const large = Buffer.alloc(1024 * 1024, "large");
    for (const compress of [true, false]) {
      const zip = await soundZip({ name: "bag/large", content: large, compress });
      expect(await validateBytes(zip)).toEqual(["TAG_FILE_UNLISTED"]);
    }
  });

  it.each([
    ["a path that leaves", "bag/../../../x"],
    ["an absolute path", "/tmp/evil/xxxx"],
    ["a backslash", "bag\\data\\evilx"],
    ["a drive letter", "C:/evil/xxxxxx"],
  ])("is refused for %s", async (_name, evil) => {
    const zip = await soundZip({ name: "bag/data/plain" });
    await failsWith(rename(zip, "bag/data/plain", evil), "ARCHIVE_UNSAFE");
  });

  it("is refused for a name that differs in its two places", async () => {
    const zip = await soundZip({ name: "bag/plainx" });
    await failsWith(rename(zip, "bag/plainx", "bag/otherx", [0]), "ARCHIVE_UNSAFE");
  });

  it("is refused for links and special files", async () => {
    await failsWith(
      await soundZip({ name: "bag/l", content: Buffer.from("/etc"), mode: 0o120777 }),
      "ARCHIVE_UNSAFE",
    );
    await failsWith(await soundZip({ name: "bag/p", mode: 0o010644 }), "ARCHIVE_UNSAFE");
  });

  it("is refused for two entries of one path", async () => {
    const zip = await soundZip({ name: "bag/data/x.txt" });
    await failsWith(rename(zip, "bag/data/x.txt", "bag/data/a.txt"), "ARCHIVE_UNSAFE");
  });

  it("is refused for entries that overlap", async () => {
    const zip = await soundZip({ name: "bag/x1" }, { name: "bag/x2" });
    zip.copy(zip, central(zip, "bag/x2") + 42, central(zip, "bag/x1") + 42, central(zip, "bag/x1") + 46);
    await failsWith(zip, "ARCHIVE_UNSAFE");
  });

  it.each([10_000, 1_000_000])(
    "is refused for more content than is declared, of %i bytes",
    async (length) => {
      const zip = await soundZip({ name: "bag/bomb", content: Buffer.alloc(length) });
      declare(zip, "bag/bomb", 10);
      await failsWith(zip, "ARCHIVE_UNSAFE");
    },
  );

  it("is refused when it declares a bomb", async () => {
    const zip = await soundZip({ name: "bag/bomb", content: Buffer.alloc(10) });
    zip.writeUInt32LE(0xf0000000, central(zip, "bag/bomb") + 24);
    await failsWith(zip, "ARCHIVE_UNSAFE");
  });

  it.each([1000, 1_000_000])("has an entry reported that is damaged, of %i bytes", async (length) => {
    const content = Buffer.from(Array.from({ length }, (_, i) => (i * i) % 251));
    const sound = await soundZip({ name: "bag/x", content, compress: false });
    const within = sound.indexOf("bag/x") + 500;
    const crc = Buffer.from(sound);
    crc[within] = (crc[within] ?? 0) ^ 1;
    expect(await validateBytes(crc)).toEqual(
      ["ARCHIVE_ENTRY_DAMAGED", "TAG_FILE_UNLISTED"].toSorted().reverse(),
    );
    const deflated = await soundZip({ name: "bag/y", content });
    deflated.fill(0xff, deflated.indexOf("bag/y") + 5, deflated.indexOf("bag/y") + 60);
    expect(await validateBytes(deflated)).toContain("ARCHIVE_ENTRY_DAMAGED");
    const short = await soundZip({ name: "bag/z", content });
    declare(short, "bag/z", length + 5);
    expect(await validateBytes(short)).toContain("ARCHIVE_ENTRY_DAMAGED");
  });

  it.each([
    ["method", 8, 8],
    ["CRC", 14, 1],
    ["packed size", 18, 1],
    ["size", 22, 1],
    ["encryption", 6, 1],
  ])("has an entry reported whose two headers differ in their %s", async (_name, field, value) => {
    const zip = await soundZip({ name: "bag/x", content: Buffer.from("x"), compress: false });
    zip[local(zip, "bag/x") + field] = (zip[local(zip, "bag/x") + field] ?? 0) ^ value;
    expect(await validateBytes(zip)).toContain("ARCHIVE_ENTRY_DAMAGED");
  });

  it("may not hold bytes that belong to no entry, where another reader finds entries", async () => {
    const zip = await soundZip({ name: "bag/x" });
    // The directory of the second is looked for in the first.
    expect(await validateBytes(Buffer.concat([zip, zip]))).toContain("ARCHIVE_TRAILING_DATA");
    const hidden = await soundZip({ name: "bag/x" }, { name: "bag/y" });
    const end = hidden.length - 22;
    const left = hidden.readUInt16LE(end + 10) - 1;
    hidden.writeUInt16LE(left, end + 8);
    hidden.writeUInt16LE(left, end + 10);
    expect(await validateBytes(hidden)).toContain("ARCHIVE_TRAILING_DATA");
  });

  it("is no archive when it is cut, padded, encrypted or unknown in its compression", async () => {
    const zip = await soundZip({ name: "bag/x", content: Buffer.from("x") });
    await failsWith(zip.subarray(0, zip.length - 30), "ARCHIVE_INVALID");
    await failsWith(Buffer.concat([zip, Buffer.from("garbage")]), "ARCHIVE_INVALID");
    const encrypted = Buffer.from(zip);
    encrypted.writeUInt16LE(1, central(zip, "bag/x") + 8);
    await failsWith(encrypted, "ARCHIVE_INVALID");
    const unknown = Buffer.from(zip);
    unknown.writeUInt16LE(99, central(zip, "bag/x") + 10);
    await failsWith(unknown, "ARCHIVE_INVALID");
    const far = Buffer.from(zip);
    far.writeUInt32LE(0x7fffffff, central(zip, "bag/x") + 42);
    await failsWith(far, "ARCHIVE_INVALID");
  });

  it("keeps names of macOS, which are UTF-8 without saying so", async () => {
    const files = [...buildBag({ payload: { "data/é": "x" } })];
    const zip = await zipOf(files.map(([path, content]) => ({ name: `bag/${path}`, content })));
    for (let at = zip.indexOf("PK\x03\x04"); at !== -1; at = zip.indexOf("PK\x03\x04", at + 1))
      zip.writeUInt16LE(0, at + 6);
    for (let at = zip.indexOf("PK\x01\x02"); at !== -1; at = zip.indexOf("PK\x01\x02", at + 1))
      zip.writeUInt16LE(0, at + 8);
    expect(await validateBytes(zip)).toEqual([]);
  });
});
