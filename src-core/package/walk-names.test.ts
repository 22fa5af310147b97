import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { failureIn, valueIn, Workroom } from "../testing/workroom.ts";
import { twins, windowsObstacle } from "./name-rules.ts";
import type { PlanEntry } from "./plan-file.ts";
import { rawPathOf } from "./raw-names.ts";
import { SourceWalk } from "./walk-sources.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "strongroom-names-"));
  mkdirSync(join(folder, "ev"));
  mkdirSync(join(folder, "home"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const onDisk = (...segments: readonly (string | Buffer)[]) =>
  Buffer.concat([
    Buffer.from(`${folder}/ev`),
    ...segments.flatMap((s) => [Buffer.from("/"), Buffer.from(s)]),
  ]);
const latin = Buffer.from([0x63, 0x61, 0x66, 0xe9]);

function walk(storeNonUnicode: boolean) {
  const entries: PlanEntry[] = [];
  const { findings, ...rest } = new SourceWalk(
    { sources: [join(folder, "ev")], home: join(folder, "home"), includeLitter: false, storeNonUnicode },
    (entry) => entries.push(entry),
    () => undefined,
  ).run();
  return { ...rest, paths: entries.map(({ path }) => path), findings: findings.all() };
}

describe("names that are not valid Unicode", () => {
  test("block, and the finding gives the bytes", () => {
    writeFileSync(onDisk(latin), "x");
    writeFileSync(onDisk("sound"), "x");
    const { findings, paths } = walk(false);
    expect(paths).toEqual(["data/ev/sound"]);
    expect(findings).toMatchObject([
      { code: "NAME_NOT_UNICODE", severity: "error", message: expect.stringContaining("636166e9") },
    ]);
  });

  test("a name with a real U+FFFD is a name like others", () => {
    writeFileSync(onDisk("odd\ufffd"), "x");
    expect(walk(false)).toMatchObject({ paths: ["data/ev/odd\ufffd"], findings: [] });
  });

  test("are stored under the hex of their bytes, in order, each file once, whichever segment is at fault", () => {
    mkdirSync(onDisk(latin));
    writeFileSync(onDisk(latin, "inside"), "x");
    writeFileSync(onDisk(latin, ".DS_Store"), "x");
    writeFileSync(onDisk("a"), "x");
    mkdirSync(onDisk("sub"));
    writeFileSync(onDisk("sub", Buffer.from([0xff])), "x");
    const long = Buffer.alloc(250, 0xe9);
    writeFileSync(onDisk(long), "x");
    const { paths, findings, omitted, files } = walk(true);
    const raw = [
      ["ev/", latin, "/inside"],
      ["ev/sub/", Buffer.from([0xff])],
      ["ev/", long],
    ]
      .map((segments) => Buffer.concat(segments.map((segment) => Buffer.from(segment))))
      .map((bytes) => bytes.toString("hex"));
    expect(
      paths
        .map(rawPathOf)
        .filter((path) => path !== null)
        .sort(),
    ).toEqual([...raw].sort());
    expect(paths).toEqual([...paths].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
    expect(Math.max(...paths.flatMap((path) => path.split("/")).map((name) => name.length))).toBeLessThan(
      255,
    );
    expect(files).toBe(4);
    expect(findings.filter(({ severity }) => severity === "error")).toEqual([]);
    expect(omitted).toMatchObject([{ reason: "litter" }]);
  });

  test("come out of a sealed package with their bytes recorded", async () => {
    const room = await Workroom.open();
    room.write("ev/plain", "x");
    writeFileSync(Buffer.concat([Buffer.from(`${room.path("ev")}/`), latin]), "coffee");
    const blocked = await room.vault.packageBuild({
      engagement: Workroom.ENGAGEMENT,
      sources: [room.path("ev")],
      name: "p",
    });
    expect(failureIn(blocked).code).toBe("PREFLIGHT_BLOCKED");
    const built = await room.build("ev", { storeNonUnicode: true });
    const { files } = valueIn(await room.vault.packageFiles({ package: built.id }));
    expect(files).toHaveLength(2);
    expect(files[0]).toMatchObject({
      path: expect.stringMatching(/^data\/_nonutf8\//),
      size: 6,
      source: { rawPath: Buffer.concat([Buffer.from("ev/"), latin]).toString("hex") },
    });
    expect(valueIn(await room.vault.verify({ target: built.id, full: true })).verdict).toBe("valid");
    await room.close();
  });
});

describe("names that some systems cannot keep apart or cannot hold", () => {
  test("twins after NFC block, twins in case warn; both name the group", () => {
    for (const name of ["caf\u00e9", "cafe\u0301", "README", "readme", "ReadMe", "Ä", "a\u0308"])
      writeFileSync(onDisk(name), name);
    const { findings } = walk(false);
    const of = (code: string) => findings.filter((finding) => finding.code === code);
    expect(of("UNICODE_TWINS")).toHaveLength(1);
    expect(of("UNICODE_TWINS")).toMatchObject([{ severity: "error" }]);
    expect(of("CASE_TWINS").length).toBeGreaterThanOrEqual(2);
    expect(of("CASE_TWINS").every(({ severity }) => severity === "warning")).toBe(true);
  });

  test("twins are sought by name in one folder only", () => {
    for (const sub of ["a", "b"]) {
      mkdirSync(onDisk(sub));
      writeFileSync(onDisk(sub, sub === "a" ? "X" : "x"), "x");
    }
    expect(walk(false).findings).toEqual([]);
    expect(twins(["a", "b"])).toEqual([]);
  });

  test.each([
    "con",
    "NUL.txt",
    "com1",
    "LPT9.log",
    "a:b",
    "a?b",
    "a*",
    'q"',
    "a<b",
    "a|b",
    "end.",
    "end ",
    "tab\t",
    "back\\slash",
    "COM\u00b9",
  ])("Windows cannot hold %j", (name) => {
    expect(windowsObstacle(name)).not.toBeNull();
  });

  test.each(["console", "null", "com", "com10", "a b", "größe", ".hidden", "aux-1"])(
    "Windows holds %j",
    (name) => {
      expect(windowsObstacle(name)).toBeNull();
    },
  );

  test("they warn and are sealed as they are, up to 255 bytes; `..` between backslashes blocks", () => {
    for (const name of ["con", "new\nline", "trailing ", "n".repeat(255), `${"é".repeat(127)}x`])
      writeFileSync(onDisk(name), "x");
    const walked = walk(false);
    expect(walked.files).toBe(5);
    expect(walked.findings.filter(({ severity }) => severity === "error")).toEqual([]);
    writeFileSync(onDisk("x\\..\\..\\evil"), "x");
    expect(walk(false).findings.filter(({ severity }) => severity === "error")).toMatchObject([
      { code: "NAME_LEAVES_FOLDER" },
    ]);
  });

  test("a thousand findings of one kind are listed, the others counted", () => {
    for (let i = 0; i < 1005; i++) writeFileSync(onDisk(`${i}:`), "");
    const { findings } = walk(false);
    expect(findings).toHaveLength(1001);
    expect(findings.at(-1)?.message).toContain("5 more");
  });
});
