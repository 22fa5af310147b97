import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { FileRecord, ManifestHeader } from "../../src-contract/manifest.ts";
import type { Progress } from "../../src-contract/progress.ts";
import type { Seal } from "../../src-contract/seal.ts";
import { EXPORT_FORMATS, type ExportFormat } from "../../src-contract/vault-api.ts";
import { FailureError } from "../failing.ts";
import { createManifestWriter } from "../package/manifest-writer.ts";
import { comparePaths } from "../package/path-order.ts";
import { exportManifest } from "./export-manifest.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "strongroom-export-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const sha256 = (bytes: string | Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const time = "2026-05-04T03:02:01.5Z";
const packageDigest = "0123456789abcdef".repeat(4);

const oddNames = [
  "plain.txt",
  "new\nline",
  "back\\slash",
  "carriage\rreturn",
  "ends in cr\r",
  "\\n",
  "100%0A",
  "two  spaces ",
  " leading",
  "*star",
  'quote".csv',
  "comma,;tab\t",
  "☃ ünïcode 😀",
  "<script>alert(1)</script>",
  "'\"><img src=x onerror=alert(1)>&amp;",
  "invoice\u202efdp.exe",
  "zero\u200bwidth\u0007bell\u00a0nbsp",
  "-rf",
].sort((a, b) => comparePaths(`data/${a}`, `data/${b}`));

function record(path: string, content: string, more: Partial<FileRecord> = {}): FileRecord {
  const digest = sha256(content);
  return {
    path,
    size: content.length,
    sha256: digest,
    offset: 1024,
    mediaType: "text/plain",
    modified: time,
    ...more,
  };
}

async function sealed(records: readonly FileRecord[], more: Partial<ManifestHeader> = {}) {
  const header: ManifestHeader = {
    format: "strongroom-manifest/1",
    packageId: "01890a5d-ac96-774b-bcce-b302099a8057",
    name: "site-visit",
    engagement: "acme-2026",
    created: time,
    sealed: time,
    device: "laptop",
    program: "strongroom 0.1.0",
    sources: [{ name: "a", path: "/evidence/<a>" }],
    metadata: { run_id: "</dl><script>" },
    fileCount: records.length,
    payloadSize: records.reduce((sum, file) => sum + file.size, 0),
    ...more,
  };
  const file = join(folder, "manifest.json");
  const writer = await createManifestWriter(
    file,
    header,
    ["data/<empty>"],
    [{ path: "data/l&nk", reason: "symlink" }],
  );
  for (const entry of records) writer.add(entry);
  const seal: Seal = {
    format: "strongroom-seal/1",
    packageId: header.packageId,
    engagement: header.engagement,
    archive: "site-visit.tar",
    archiveLayout: 1,
    digestAlgorithm: "sha256",
    archiveSize: 2048,
    partSize: 2048,
    parts: [packageDigest],
    manifestSha256: writer.finish().sha256,
    tagmanifestSha256: packageDigest,
    encryption: null,
  };
  return { manifest: file, seal, packageDigest };
}

async function exported(
  records: readonly FileRecord[],
  format: ExportFormat,
  more: Partial<ManifestHeader> = {},
) {
  const out = join(folder, "out");
  const request = { ...(await sealed(records, more)), format, out };
  const result = await exportManifest(request);
  const bytes = readFileSync(out);
  expect(result).toEqual({ files: records.length, sha256: sha256(bytes) });
  return { text: bytes.toString(), out, manifest: request.manifest };
}

const failureOf = async (work: Promise<unknown>) => {
  const error: unknown = await work.catch((reason: unknown) => reason);
  if (!(error instanceof FailureError)) throw new Error("nothing was refused");
  return error.failure;
};

const oddRecords = oddNames.map((name) => record(`data/${name}`, `content of ${name}`));

function writeOddFiles(): void {
  for (const name of oddNames) {
    const file = join(folder, "data", name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, `content of ${name}`);
  }
}

test("json is the manifest, byte for byte", async () => {
  const { text, manifest } = await exported(oddRecords, "json");
  expect(text).toBe(readFileSync(manifest, "utf8"));
});

describe("sha256sum", () => {
  test("is accepted by sha256sum -c over files of every odd name", async () => {
    writeOddFiles();
    const { out } = await exported(oddRecords, "sha256sum");
    execFileSync("sha256sum", ["--strict", "--quiet", "-c", out], { cwd: folder });
    writeFileSync(join(folder, "data", "new\nline"), "changed");
    expect(() => execFileSync("sha256sum", ["--status", "-c", out], { cwd: folder })).toThrow();
  });

  test("is what sha256sum itself prints", async () => {
    writeOddFiles();
    const { text } = await exported(oddRecords, "sha256sum");
    const paths = oddRecords.map(({ path }) => path);
    expect(text).toBe(execFileSync("sha256sum", paths, { cwd: folder, encoding: "utf8" }));
  });
});

test("bagit is manifest-sha256.txt of RFC 8493", async () => {
  const records = ["a%0Ab", "c\r\nd", "é"].map((name) => record(`data/${name}`, name));
  const { text } = await exported(records, "bagit");
  expect(text.split("\n").map((line) => line.slice(66))).toEqual([
    "data/a%250Ab",
    "data/c%0D%0Ad",
    "data/é",
    "",
  ]);
  expect(text.startsWith(`${records[0]?.sha256}  data/`)).toBe(true);
});

describe("csv", () => {
  /** A parser of RFC 4180, for the test only. */
  function parse(text: string): string[][] {
    const rows: string[][] = [];
    let row: string[] = [];
    for (const match of text.matchAll(/(?:"((?:[^"]|"")*)"|([^,"\r\n]*))(,|\r\n)/g)) {
      row.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? "");
      if (match[3] === ",") continue;
      rows.push(row);
      row = [];
    }
    return rows;
  }

  test("holds every file, whatever its name", async () => {
    const { text } = await exported(oddRecords, "csv");
    const [head, ...rows] = parse(text);
    expect(head).toEqual(["path", "size", "sha256", "mediaType", "modified", "offset"]);
    expect(rows).toEqual(
      oddRecords.map((r) => [r.path, String(r.size), r.sha256, r.mediaType, r.modified, String(r.offset)]),
    );
  });

  test("has sha512 where the package has it, and its head where there is no file", async () => {
    const sha512 = packageDigest + packageDigest;
    const { text } = await exported([record("data/a", "a", { sha512 })], "csv");
    expect(text).toBe(
      `path,size,sha256,sha512,mediaType,modified,offset\r\ndata/a,1,${sha256("a")},${sha512},text/plain,${time},1024\r\n`,
    );
    rmSync(folder, { recursive: true });
    mkdirSync(folder);
    expect((await exported([], "csv")).text).toBe("path,size,sha256,mediaType,modified,offset\r\n");
  });

  test("a path is one cell also where ; or TAB parts cells", async () => {
    const records = ["data/a\t=1+1", "data/a;=1+1"].map((path) => record(path, "a"));
    const { text } = await exported(records, "csv");
    expect(text).toContain('\r\n"data/a\t=1+1",');
    expect(text).toContain('\r\n"data/a;=1+1",');
  });

  test.each(["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])("disarms the formula %j", async (mediaType) => {
    const { text } = await exported([record("data/a", "a", { mediaType })], "csv");
    expect(parse(text)[1]?.[3]).toBe(`'${mediaType}`);
  });
});

describe("html", () => {
  test("shows names as text, never as markup, and what cannot be seen as code points", async () => {
    const records = oddRecords.map((entry, i) => (i === 0 ? { ...entry, mediaTypeByName: "<b>" } : entry));
    const { text } = await exported(records, "html", { title: "<title> & co" });
    const tags = new Set([...text.matchAll(/<\/?([a-z!][a-z0-9]*)/gi)].map((match) => match[1]));
    for (const tag of ["script", "img", "a", "b", "empty"]) expect(tags).not.toContain(tag);
    expect(text).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}]/u);
    expect(text).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
    expect(text).toContain('invoice<span class="code-point">U+202E</span>fdp.exe');
    expect(text).toContain('new<span class="code-point">U+000A</span>line');
    expect(text).toContain('zero<span class="code-point">U+200B</span>width');
    expect(text).toContain("&lt;title&gt; &amp; co");
  });

  test("metadata stand apart: no key of the sealer's can pass for a fact", async () => {
    const { text } = await exported([record("data/a", "a")], "html", {
      metadata: { "Archive SHA-256": "forged" },
    });
    const [facts = "", metadata = ""] = text.split("<h2>Metadata");
    expect(facts).not.toContain("forged");
    expect(metadata).toContain("<dt>Archive SHA-256</dt><dd>forged</dd>");
    expect(facts).toContain("<dt>Content</dt><dd>1 file, 1 byte</dd>");
  });

  test("loads nothing, forbids scripts, states the package digest and how to verify", async () => {
    const { text } = await exported([record("data/a", "a")], "html");
    expect(text).not.toMatch(/\b(?:src|href)=|url\(|@import|http:|https:/);
    expect(text).toContain("content=\"default-src 'none';");
    expect(text).toContain(packageDigest);
    expect(text).toContain("sha256sum site-visit.seal.json");
    expect(text).toContain("prefers-color-scheme: dark");
    expect(text).toContain("@media print");
  });

  test.each([0, 1, 999, 1000, 1001, 12_345])("is well-formed with %i files", async (count) => {
    const records = Array.from({ length: count }, (_, i) => record(`data/${String(i).padStart(6, "0")}`, ""));
    const { text } = await exported(records, "html");
    const open: string[] = [];
    for (const [, slash, tag = ""] of text.matchAll(/<(\/?)([a-z][a-z0-9]*)/g)) {
      if (tag === "meta") continue;
      if (slash === "") open.push(tag);
      else expect(open.pop()).toBe(tag);
    }
    expect(open).toEqual([]);
    expect(text.match(/<tr><td>/g)?.length ?? 0).toBe(count);
    expect(text.match(/<table>/g)?.length ?? 0).toBe(Math.ceil(count / 1000));
  });
});

describe("every format", () => {
  test.each(EXPORT_FORMATS)("%s never overwrites and leaves nothing behind when it fails", async (format) => {
    const out = join(folder, "out");
    const request = { ...(await sealed(oddRecords)), format, out };
    writeFileSync(out, "kept");
    expect((await failureOf(exportManifest(request))).code).toBe("PATH_EXISTS");
    expect(readFileSync(out, "utf8")).toBe("kept");
    const elsewhere = { ...request, out: join(folder, "absent", "out") };
    expect(await failureOf(exportManifest(elsewhere))).toMatchObject({
      code: "PATH_NOT_FOUND",
      message: expect.stringContaining(`The folder ${join(folder, "absent")} `),
    });
    const stop = new AbortController();
    stop.abort();
    const stopped = exportManifest({ ...request, out: join(folder, "new") }, { signal: stop.signal });
    expect((await failureOf(stopped)).code).toBe("CANCELLED");
    expect(readdirSync(folder).sort()).toEqual(["manifest.json", "out"]);
  });

  test.each(EXPORT_FORMATS)("%s refuses a manifest that was not sealed", async (format) => {
    const request = { ...(await sealed(oddRecords)), format, out: join(folder, "out") };
    const text = readFileSync(request.manifest, "utf8");
    writeFileSync(request.manifest, text.replace(oddRecords[3]?.sha256 ?? "", packageDigest));
    expect((await failureOf(exportManifest(request))).code).toBe("DIGEST_MISMATCH");
    const unsound = text.replace('"omitted":[', '"omitted": [');
    writeFileSync(request.manifest, unsound);
    const seal = { ...request.seal, manifestSha256: sha256(unsound) };
    expect((await failureOf(exportManifest({ ...request, seal }))).code).toBe("MANIFEST_INVALID");
    expect(readdirSync(folder)).toEqual(["manifest.json"]);
  });

  test.each(EXPORT_FORMATS)("%s reports its end", async (format) => {
    const told: Progress[] = [];
    const request = { ...(await sealed(oddRecords)), format, out: join(folder, "out") };
    await exportManifest(request, { onProgress: (progress) => told.push(progress) });
    expect(told.at(-1)).toEqual({
      phase: "write manifest",
      unit: "files",
      done: oddNames.length,
      total: oddNames.length,
    });
  });
});
