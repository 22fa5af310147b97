import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { parsePax, parseTarHeader } from "./tar-header.ts";
import { header, headerSize, padded, TRAILER_SIZE, writeHeader } from "./tar-layout.ts";

/** Written once and never changed: archive layout 1 is these bytes. A pending upload depends on them. */
const vectors = z
  .object({
    headers: z.array(
      z.object({
        what: z.string(),
        path: z.string(),
        size: z.number(),
        seconds: z.number(),
        hex: z.string(),
      }),
    ),
    archive: z.object({
      entries: z.array(z.object({ path: z.string(), content: z.string(), seconds: z.number() })),
      size: z.number(),
      sha256: z.string(),
    }),
  })
  .parse(JSON.parse(readFileSync(new URL("./tar-layout.vectors.json", import.meta.url), "utf8")));

/** Vectors leave out zero bytes in long runs: `00*N` stands for N of them. */
function unpackHex(hex: string): Buffer {
  const bytes = hex.split(" ").map((word) => {
    const run = /^00\*(\d+)$/.exec(word);
    return run === null ? Buffer.from(word, "hex") : Buffer.alloc(Number(run[1]));
  });
  return Buffer.concat(bytes);
}

function smallArchive(): Buffer {
  const blocks = vectors.archive.entries.flatMap(({ path, content, seconds }) => {
    const bytes = Buffer.from(content);
    return [header(path, bytes.length, seconds), bytes, Buffer.alloc(padded(bytes.length) - bytes.length)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(TRAILER_SIZE)]);
}

describe("every byte of a header", () => {
  test.each(vectors.headers.map((vector) => [vector.what, vector] as const))("%s", (_, vector) => {
    const { path, size, seconds } = vector;
    const expected = unpackHex(vector.hex);
    expect(header(path, size, seconds).toString("hex")).toBe(expected.toString("hex"));
    expect(headerSize(path, size)).toBe(expected.length);
  });

  test("is the same where it is written over other bytes, in the middle of a buffer", () => {
    for (const { path, size, seconds } of vectors.headers) {
      const own = header(path, size, seconds);
      const target = Buffer.alloc(own.length + 20, 0xff);
      expect(writeHeader(target, 10, path, size, seconds)).toBe(own.length);
      expect(target.subarray(10, -10).equals(own)).toBe(true);
      expect(target[9]).toBe(0xff);
      expect(target.at(-10)).toBe(0xff);
    }
  });

  test("a pax record counts its own digits, at every length where they grow", () => {
    for (let length = 80; length < 1100; length++) {
      const path = `x/é${"n".repeat(length)}`;
      const bytes = header(path, 0, 0);
      const records = bytes.subarray(512, 512 + (parseTarHeader(bytes.subarray(0, 512))?.size ?? 0));
      expect(parsePax(records)?.get("path")?.toString()).toBe(path);
      expect(Number.parseInt(records.toString("latin1"), 10)).toBe(records.length);
    }
  });
});

describe("a whole archive", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "strongroom-tar-"));
    writeFileSync(join(folder, "small.tar"), smallArchive());
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test("has the bytes that it always had", () => {
    const bytes = smallArchive();
    expect(bytes.length).toBe(vectors.archive.size);
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(vectors.archive.sha256);
  });

  const entries = vectors.archive.entries;
  const expected = Object.fromEntries(entries.map(({ path, content }) => [path, content]));
  const extracted = (into: string) =>
    Object.fromEntries(
      readdirSync(into, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
        .map((file) => [file.slice(into.length + 1), readFileSync(file, "utf8")]),
    );
  const environment = { ...process.env, LC_ALL: "C.UTF-8" };
  const run = (command: string, ...args: readonly string[]) =>
    execFileSync(command, args, { cwd: folder, env: environment, encoding: "utf8", stdio: "pipe" });
  const has = (command: string) => {
    try {
      run(command, "--version");
      return true;
    } catch {
      return false;
    }
  };

  test.runIf(has("tar")).each(["tar", "bsdtar"].filter(has))("%s lists and extracts it", (program) => {
    expect(run(program, "-tf", "small.tar").trimEnd().split("\n")).toHaveLength(entries.length);
    const into = mkdtempSync(join(folder, "out-"));
    run(program, "-xf", "small.tar", "-C", into);
    expect(extracted(into)).toEqual(expected);
  });

  test.runIf(has("python3"))("Python's tarfile reads names, sizes and times", () => {
    const script =
      "import json,tarfile; print(json.dumps([[m.name,m.size,m.mtime,m.mode,m.uid,m.uname] for m in tarfile.open('small.tar')]))";
    expect(JSON.parse(run("python3", "-c", script))).toEqual(
      entries.map(({ path, content, seconds }) => [path, Buffer.byteLength(content), seconds, 0o644, 0, ""]),
    );
  });

  test.runIf(has("bsdtar"))("sizes from 8 GiB on are read as they were written", () => {
    for (const size of [8 * 1024 ** 3 - 1, 8 * 1024 ** 3, 20 * 1024 ** 3 + 1]) {
      writeFileSync(join(folder, "large.tar"), header("x/large", size, 0));
      // There is no content: the programs complain after they have listed the entry.
      const listed = execFileSync("sh", ["-c", "bsdtar -tvf large.tar 2>/dev/null || true"], { cwd: folder });
      expect(listed.toString()).toContain(` ${size} `);
    }
  });
});
