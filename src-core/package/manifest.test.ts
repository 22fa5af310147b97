import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { FileRecord, ManifestHeader, Omission } from "../../src-contract/manifest.ts";
import { FailureError } from "../failing.ts";
import type { RangeSource } from "../ports.ts";
import { readManifest } from "./manifest-reader.ts";
import { createManifestWriter } from "./manifest-writer.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "strongroom-manifest-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const sha256 = "0123456789abcdef".repeat(4);
const time = "2026-05-04T03:02:01.123456789Z";

function record(path: string, more: Partial<FileRecord> = {}): FileRecord {
  return { path, size: 3, sha256, offset: 1024, mediaType: "text/plain", modified: time, ...more };
}

function header(files: readonly FileRecord[], more: Partial<ManifestHeader> = {}): ManifestHeader {
  return {
    format: "strongroom-manifest/1",
    packageId: "01890a5d-ac96-774b-bcce-b302099a8057",
    name: "site-visit",
    engagement: "acme-2026",
    created: time,
    sealed: time,
    device: "laptop",
    program: "strongroom 0.1.0",
    sources: [{ name: "a", path: "/evidence/a" }],
    metadata: { run_id: "7" },
    fileCount: files.length,
    payloadSize: files.reduce((sum, file) => sum + file.size, 0),
    ...more,
  };
}

async function write(
  files: readonly FileRecord[],
  emptyFolders: readonly string[] = [],
  omitted: readonly Omission[] = [],
) {
  const file = join(folder, "manifest.json");
  const writer = await createManifestWriter(file, header(files), emptyFolders, omitted, { sha512: true });
  for (const entry of files) writer.add(entry);
  return { file, written: writer.finish() };
}

async function readAll(source: string | RangeSource) {
  const manifest = await readManifest(source);
  const found = { header: manifest.header, emptyFolders: [] as string[], omitted: [] as Omission[] };
  const files: FileRecord[] = [];
  for await (const batch of manifest.batches()) {
    if (batch.list === "files") files.push(...batch.entries);
    else if (batch.list === "omitted") found.omitted.push(...batch.entries);
    else found.emptyFolders.push(...batch.entries);
  }
  return { ...found, files };
}

async function failureOf(work: Promise<unknown>) {
  const error: unknown = await work.then(
    () => new Error("nothing was thrown"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof FailureError)) throw error;
  return error.failure;
}

const oddFiles = [
  record('data/ snow ☃\n\r\\"\u2028'),
  record("data/a", { size: 0, sha512: sha256 + sha256 }),
  record("data/a.png", { mediaType: "text/html", mediaTypeByName: "image/png" }),
  record("data/a/b", { source: { born: time, owner: "0:0", mode: "0644", rawPath: "ff" } }),
  record("data/b", { source: {}, size: Number.MAX_SAFE_INTEGER - 20, offset: Number.MAX_SAFE_INTEGER }),
  record("data/\uff5e"),
  record("data/\u{1f600}"),
];

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

/** Bytes that are in use after a full garbage collection, so that the test does not depend on when one happens. */
function liveBytes(): number {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

describe("written and read again", () => {
  test("everything comes back, the digests are those of the file, and the whole is JSON", async () => {
    const omitted: Omission[] = [{ path: 'data/li"nk', reason: "symlink" }];
    const { file, written } = await write(oddFiles, ["data/x/empty", "data/x"], omitted);
    const bytes = readFileSync(file);
    expect(written).toEqual({
      size: bytes.length,
      sha256: createHash("sha256").update(bytes).digest("hex"),
      sha512: createHash("sha512").update(bytes).digest("hex"),
    });
    const whole = JSON.parse(bytes.toString());
    const found = await readAll(file);
    expect(found).toEqual({
      header: header(oddFiles),
      emptyFolders: ["data/x/empty", "data/x"],
      omitted,
      files: oddFiles,
    });
    expect({
      ...found.header,
      emptyFolders: found.emptyFolders,
      omitted: found.omitted,
      files: found.files,
    }).toEqual(whole);
  });

  test("an empty package has the layout that the format page shows", async () => {
    const { file } = await write([]);
    expect(readFileSync(file, "utf8").split("\n").slice(1)).toEqual([
      '"emptyFolders":[',
      "],",
      '"omitted":[',
      "],",
      '"files":[',
      "]}",
      "",
    ]);
    expect((await readAll(file)).files).toEqual([]);
  });

  test("300,000 records pass through bounded memory", async () => {
    const file = join(folder, "manifest.json");
    const count = 300_000;
    const long = "x".repeat(100);
    const writer = await createManifestWriter(
      file,
      header([], { fileCount: count, payloadSize: count }),
      [],
      [],
    );
    const before = liveBytes();
    let peak = 0;
    const look = () => {
      peak = Math.max(peak, liveBytes() - before);
    };
    for (let i = 0; i < count; i++) {
      writer.add(record(`data/${long}/${String(i).padStart(7, "0")}`, { size: 1 }));
      if (i % 20_000 === 0) look();
    }
    writer.finish();
    let read = 0;
    let batches = 0;
    for await (const batch of (await readManifest(file)).files()) {
      read += batch.length;
      if (batches++ % 8 === 0) look();
    }
    expect(read).toBe(count);
    expect(statSync(file).size).toBeGreaterThan(80_000_000);
    expect(peak).toBeLessThan(16_000_000);
  });

  test("a source that is not a file is read the same and stays open", async () => {
    const { file } = await write(oddFiles);
    const bytes = readFileSync(file);
    let closed = false;
    const source: RangeSource = {
      size: bytes.length,
      read: async (offset, target) => void bytes.copy(target, 0, offset, offset + target.length),
      close: async () => {
        closed = true;
      },
    };
    expect((await readAll(source)).files).toEqual(oddFiles);
    expect(closed).toBe(false);
  });
});

describe("the writer", () => {
  test("refuses records out of order and leaves nothing behind", async () => {
    const file = join(folder, "manifest.json");
    for (const next of ["data/b", "data/a"]) {
      const writer = await createManifestWriter(file, header([]), [], []);
      writer.add(record("data/b"));
      expect(() => writer.add(record(next))).toThrow("does not follow");
      expect(() => writer.finish()).toThrow();
      expect(existsSync(file)).toBe(false);
    }
  });

  test("refuses totals other than announced, a header beyond a line, and a file that is there", async () => {
    const file = join(folder, "manifest.json");
    const writer = await createManifestWriter(file, header([record("data/b")]), [], []);
    expect(() => writer.finish()).toThrow("0 files of 0 bytes were added where 1 of 3");
    const huge = header([], { title: "é".repeat(600_000) });
    expect((await failureOf(createManifestWriter(file, huge, [], []))).code).toBe("INVALID_INPUT");
    expect(existsSync(file)).toBe(false);
    writeFileSync(file, "kept");
    expect((await failureOf(createManifestWriter(file, header([]), [], []))).code).toBe("PATH_EXISTS");
    expect(readFileSync(file, "utf8")).toBe("kept");
  });
});

describe("hostile manifests", () => {
  const good = async () => {
    const { file } = await write(
      [record("data/a"), record("data/b")],
      ["data/e"],
      [{ path: "data/.DS_Store", reason: "litter" }],
    );
    const text = readFileSync(file, "utf8");
    return text;
  };
  const line = (text: string, number: number, change: (line: string) => string) =>
    text
      .split("\n")
      .map((old, i) => (i === number - 1 ? change(old) : old))
      .join("\n");

  const cases: readonly [string, string, (text: string) => string | Buffer][] = [
    ["nothing", "line 1: the file is empty", () => ""],
    [
      "another format",
      'line 1: format "strongroom-manifest/2" is not known',
      (t) => t.replace("fest/1", "fest/2"),
    ],
    [
      "a format that is no string",
      "line 1: format of type object is not known",
      () => `{"format":"x","format":${"[".repeat(400_000)}${"]".repeat(400_000)},\n`,
    ],
    ["no manifest at all", "line 1: is not the header", () => "[]\n"],
    ["an unknown header field", "line 1", (t) => t.replace('"name"', '"x":1,"name"')],
    [
      "a repeated header field",
      "line 1: is not written",
      (t) => t.replace('"name"', '"name":"other","name"'),
    ],
    ["a hidden metadata key", "line 1", (t) => t.replace('"run_id"', '"__proto__":"x","run_id"')],
    ["a byte order mark", "line 1", (t) => `\ufeff${t}`],
    ["CRLF", "line 1", (t) => t.replaceAll("\n", "\r\n")],
    [
      "a missing list",
      'line 2: should be "emptyFolders":[',
      (t) => t.replace('"emptyFolders":[\n"data/e"\n],\n', ""),
    ],
    ["an unsafe empty folder", "line 3: path has", (t) => t.replace("data/e", "data/../e")],
    ["an unknown reason", "line 6: reason", (t) => t.replace("litter", "boring")],
    ["a record that is not JSON", "line 9: is not JSON", (t) => line(t, 9, (l) => l.slice(1))],
    ["an unknown field", "line 9: Unrecognized key", (t) => line(t, 9, (l) => l.replace("}", ',"x":1}'))],
    ["a repeated field", "line 9: is not written", (t) => line(t, 9, (l) => l.replace("}", ',"size":3}'))],
    ["white space", "line 9: is not written", (t) => line(t, 9, (l) => l.replace('"size":3', '"size": 3'))],
    [
      "another way to write a number",
      "line 9: is not written",
      (t) => line(t, 9, (l) => l.replace(":3,", ":3.0,")),
    ],
    ["minus zero", "line 9: is not written", (t) => line(t, 9, (l) => l.replace(":3,", ":-0,"))],
    ["an escaped letter", "line 9: is not written", (t) => line(t, 9, (l) => l.replace("/a", "/\\u0061"))],
    ["a digest in capitals", "line 9: sha256", (t) => line(t, 9, (l) => l.replace("abcdef", "ABCDEF"))],
    ["a size too large", "line 9: size", (t) => line(t, 9, (l) => l.replace(":3,", ":9007199254740993,"))],
    ["a path twice", 'line 10: "data/a" repeats', (t) => line(t, 10, (l) => l.replace("data/b", "data/a"))],
    ["paths out of order", "line 10", (t) => line(t, 10, (l) => l.replace("data/b", "data/Z"))],
    ["a path that climbs", "line 10: path has", (t) => line(t, 10, (l) => l.replace("/b", "/c/.."))],
    ["an empty segment", "line 10: path has", (t) => line(t, 10, (l) => l.replace("/b", "/b//c"))],
    ["a NUL", "line 10: path has", (t) => line(t, 10, (l) => l.replace("/b", "/b\\u0000"))],
    [
      "a lone surrogate",
      "line 10: path is not valid Unicode",
      (t) => line(t, 10, (l) => l.replace("/b", "/\\ud800")),
    ],
    ["a missing comma", "line 10: should be ]}", (t) => line(t, 9, (l) => l.slice(0, -1))],
    ["a comma too many", "line 11: the list ends after a comma", (t) => line(t, 10, (l) => `${l},`)],
    ["two records on a line", "line 9", (t) => t.replace("},\n{", "},{")],
    ["trailing data", "line 12: something follows the end", (t) => `${t}{}\n`],
    ["a trailing empty line", "line 12: something follows the end", (t) => `${t}\n`],
    ["no last line feed", "line 11: does not end in a line feed", (t) => t.slice(0, -1)],
    ["a cut list", "the file ends before files does", (t) => t.slice(0, t.lastIndexOf("]}"))],
    ["a file count that lies", "announces 3 files", (t) => t.replace('"fileCount":2', '"fileCount":3')],
    ["a payload size that lies", "of 7 bytes", (t) => t.replace('"payloadSize":6', '"payloadSize":7')],
    ["an endless line", "line 10: is longer than 1048576", (t) => line(t, 10, () => "x".repeat(5_000_000))],
    [
      "a long line inside one read",
      "is longer than",
      (t) => line(t, 3, () => `"data/${"x".repeat(1_048_600)}"`),
    ],
    ["many wide characters", "line 3: is longer", (t) => line(t, 3, () => `"data/${"é".repeat(524_290)}"`)],
    ["deep nesting", "line 9: is not JSON", (t) => line(t, 9, () => "[".repeat(1_000_000))],
    [
      "bytes that are not UTF-8",
      "line 9: holds bytes that are not UTF-8",
      (t) => {
        const bytes = Buffer.from(t);
        bytes[bytes.indexOf("data/a") + 5] = 0xff;
        return bytes;
      },
    ],
  ];
  test.each(cases)("%s", async (_name, message, change) => {
    const file = join(folder, "hostile.json");
    writeFileSync(file, change(await good()));
    const failure = await failureOf(readAll(file));
    expect(failure.code).toBe("MANIFEST_INVALID");
    expect(failure.message).toContain(message);
    expect(failure.message.length).toBeLessThan(1000);
  });

  test("any single byte changed is refused or read as another valid manifest, never as a fault of the program", async () => {
    const text = Buffer.from(await good());
    const file = join(folder, "hostile.json");
    await fc.assert(
      fc.asyncProperty(fc.nat(text.length - 1), fc.nat(255), async (at, byte) => {
        const bytes = Buffer.from(text);
        bytes[at] = byte;
        writeFileSync(file, bytes);
        const found = await readAll(file).catch((error: unknown) => error);
        if (found instanceof FailureError) expect(found.failure.code).toBe("MANIFEST_INVALID");
        else expect(found).not.toBeInstanceOf(Error);
      }),
      { numRuns: 300 },
    );
  });
});
