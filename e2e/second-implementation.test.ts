import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, symlink, truncate, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { header } from "../src-core/archive/tar-layout.ts";
import { wholeSeconds } from "../src-core/package/times.ts";
import { Desk, ROOT, runProgram } from "./run-cli.ts";
import { sha256 } from "./second-implementation/forgery.ts";
import { EXAMPLE, program, python, skipped, VERIFIER } from "./second-implementation/verdicts.ts";

const DOCUMENT = join(ROOT, "docs", "package-format.md");

const withPython = describe.skipIf(skipped);
let desk: Desk;
beforeAll(async () => {
  desk = await Desk.open();
});
afterAll(async () => {
  await desk.close();
});

describe("the document", () => {
  test("has the sections that findings name, and shows the example's own bytes", async () => {
    const text = await readFile(DOCUMENT, "utf8");
    const rules = await readFile(join(ROOT, "src-core/verify/seal-rules.ts"), "utf8");
    for (const [, title] of rules.matchAll(/\$\{FORMAT\}, "([^"]+)"/g))
      expect(text).toContain(`\n## ${title}\n`);
    const tar = await readFile(join(EXAMPLE, "sample.tar"));
    const shown = [...text.matchAll(/^([0-9a-f]{8}): ((?:[0-9a-f]{4} ){8})/gm)];
    expect(shown.length).toBeGreaterThan(20);
    for (const [, at = "", hex = ""] of shown) {
      const offset = Number.parseInt(at, 16);
      expect(tar.toString("hex", offset, offset + 16), at).toBe(hex.replaceAll(" ", ""));
    }
    const seal = await readFile(join(EXAMPLE, "sample.seal.json"), "utf8");
    expect(text).toContain(`\n${seal}\n`);
    expect(text).toContain(`\n${tar.toString("utf8", 6656, 6656 + 1273)}`);
    expect(text).toContain(createHash("sha256").update(seal).digest("hex"));
  });
});

withPython("headers", () => {
  test("are the same bytes for all lengths of paths, sizes and times", async () => {
    const sizes = [0, 1, 511, 8 ** 11 - 1, 8 ** 11, 10 ** 10, Number.MAX_SAFE_INTEGER];
    const times = [-1, 0, 1_773_480_413, 8 ** 11 - 1, 8 ** 11, 253_402_300_799];
    const lengths = [
      ...Array.from({ length: 130 }, (_, i) => i + 1),
      480,
      500,
      980,
      1000,
      4000,
      9970,
      9990,
      33_000,
    ];
    const paths = lengths.flatMap((length) => ["a".repeat(length), `${"é".repeat(Math.ceil(length / 2))}x`]);
    const cases = paths.flatMap((path, i) => {
      const time = new Date((times[i % times.length] as number) * 1000).toISOString().replace(".000Z", "Z");
      return sizes.map((size) => ({ path, size, time }));
    });
    const file = await desk.write("headers.json", JSON.stringify(cases));
    const code = [
      "import json, sys; sys.path.insert(0, sys.argv[1])",
      "from verify_package import header, seconds, sha256",
      "for c in json.load(open(sys.argv[2])): print(sha256(header(c['path'], c['size'], seconds(c['time']))))",
    ].join("\n");
    const { out, err } = await runProgram("python3", ["-B", "-c", code, dirname(VERIFIER), file]);
    expect(err).toBe("");
    const ours = cases.map(({ path, size, time }) => sha256(header(path, size, wholeSeconds(time))));
    expect(out.trimEnd().split("\n")).toEqual(ours);
  });
});

withPython("packages that are valid for both", () => {
  async function expectBoth(archive: string, seal: string): Promise<void> {
    expect(await python(archive, seal)).toEqual({ exitCode: 0, codes: [] });
    expect(await program(desk, archive, seal)).toEqual({ exitCode: 0, codes: [] });
  }

  async function sealed(id: string): Promise<void> {
    const folder = join(desk.home, "packages", id);
    const archive = (await readdir(folder)).find((name) => name.endsWith(".tar")) ?? "none";
    await expectBoth(join(folder, archive), join(folder, "seal.json"));
  }

  async function sealedBy(...build: readonly string[]): Promise<void> {
    const { package: made } = await desk.value(...build);
    await sealed(String(Reflect.get(Object(made), "id")));
  }

  beforeAll(async () => {
    await desk.engage();
  });

  test("the document's example, with its signature", async () => {
    await expectBoth(join(EXAMPLE, "sample.tar"), join(EXAMPLE, "sample.seal.json"));
  });

  test("odd names, empty folders, sha512, free text, a name of 80 characters", async () => {
    const names = [
      "a\nb\r.txt",
      "100%25.txt",
      "trailing ",
      'q"uo\\te\u0001\u007f',
      "größe",
      "\uff5e",
      "\u{1f600}",
      "é\u2028",
    ];
    const long = `${"deep-".repeat(18)}/${"folder-".repeat(12)}`;
    for (const name of [...names, "zero", `${long}/${"n".repeat(250)}`, "exactly".padEnd(94, "x")]) {
      await desk.write(`odd/${name}`, name === "zero" ? "" : `content of ${name}`);
    }
    await desk.write("odd.txt", "sorts before what is in the folder");
    await desk.write("odd0", "sorts after it");
    await mkdir(desk.path("odd/empty/inner"), { recursive: true });
    await symlink("zero", desk.path("odd/link"));
    const name = "n".repeat(80);
    const build = [
      "package",
      "build",
      "acme-2026",
      "odd",
      "odd.txt",
      "odd0",
      "--name",
      name,
      "--digest",
      "sha512",
    ];
    const about = [
      "--title",
      " line\r\n \ttwo\u2028% ",
      ...["10=b", "9=a", "z=é", "run_id=\u0007"].flatMap((pair) => ["--meta", pair]),
    ];
    await sealedBy(...build, ...about);
  });

  test("names that are not valid Unicode", async () => {
    const folder = Buffer.from(`${desk.path("raw")}/`);
    await mkdir(folder);
    await writeFile(Buffer.concat([folder, Buffer.from("caf\xe9.txt", "latin1")]), "latin1");
    await writeFile(Buffer.concat([folder, Buffer.from(`${"\xff".repeat(240)}`, "latin1")]), "long");
    await writeFile(Buffer.concat([folder, Buffer.from("plain")]), "plain");
    const build = ["package", "build", "acme-2026", "raw", "--name", "raw", "--store-non-unicode"];
    await sealedBy(...build);
  });

  test("a folder of the user's own that is named as the one for such names", async () => {
    await desk.write("_nonutf8/61", "not a raw name");
    const id = await desk.build("acme-2026", "own", "_nonutf8");
    await sealed(id);
    expect(await readFile(join(desk.home, "packages", id, "manifest.json"), "utf8")).not.toContain("rawPath");
  });

  test("more than one part", async () => {
    await desk.write("big/a.bin", "begin");
    await truncate(desk.path("big/a.bin"), 40 * 1024 * 1024 + 1);
    await sealed(await desk.build("acme-2026", "big", "big"));
  });

  test("sealed by reference, as it arrives in a vault", async () => {
    await desk.write("ref/a.txt", "by reference");
    const id = await desk.build("acme-2026", "ref", "ref", "--reference");
    await desk.value("package", "push", id);
    const folder = desk.path("vault/engagements/acme-2026/packages", id);
    expect(await readFile(join(folder, "seal.json"), "utf8")).not.toContain("archiveSha256");
    await expectBoth(join(folder, "ref.tar"), join(folder, "seal.json"));
  });
});
