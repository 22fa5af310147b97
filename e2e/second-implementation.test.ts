import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cp, mkdir, readdir, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { header } from "../src-core/archive/tar-layout.ts";
import { canonicalJson } from "../src-core/package/canonical-json.ts";
import { wholeSeconds } from "../src-core/package/times.ts";
import { Desk, ROOT, runProgram } from "./run-cli.ts";

/** A verifier that was written from docs/package-format.md alone must come to the same verdicts as the program. */
const VERIFIER = join(ROOT, "e2e", "second-implementation", "verify_package.py");
const EXAMPLE = join(ROOT, "resources", "package-format-1");
const DOCUMENT = join(ROOT, "docs", "package-format.md");

const present = spawnSync("python3", ["--version"]).status === 0;
const demanded = process.env.CI === "true";
if (!present)
  process.stderr.write("python3 not found: the tests with the second implementation are skipped.\n");
const withPython = describe.skipIf(!present && !demanded);

interface Verdict {
  readonly exitCode: number | null;
  readonly codes: readonly string[];
}

async function python(archive: string, seal: string): Promise<Verdict> {
  const { exitCode, out, err } = await runProgram("python3", ["-B", VERIFIER, archive, seal]);
  if (err !== "") throw new Error(err);
  return { exitCode, codes: codesOf(JSON.parse(out)) };
}

function codesOf(report: unknown): string[] {
  const findings: unknown = Reflect.get(Object(report), "findings") ?? [];
  const codes = (Array.isArray(findings) ? findings : []).map((finding) =>
    String(Reflect.get(Object(finding), "code")),
  );
  return [...new Set(codes)].sort();
}

let desk: Desk;
beforeAll(async () => {
  desk = await Desk.open();
});
afterAll(async () => {
  await desk.close();
});

async function program(archive: string, seal: string): Promise<Verdict> {
  const { exitCode, out } = await desk.run(["verify", archive, "--seal", seal, "--full", "--json"]);
  return { exitCode, codes: codesOf(Reflect.get(Object(JSON.parse(out)), "value")) };
}

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
    expect(await program(archive, seal)).toEqual({ exitCode: 0, codes: [] });
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

interface Entry {
  readonly header: number;
  readonly content: number;
  readonly size: number;
}

/** A package of plain names that a hostile sealer forges: the bytes are changed, then all digests above them are made to fit again. */
class Forgery {
  readonly tar: Buffer;
  seal: Record<string, unknown>;
  readonly #entries = new Map<string, Entry>();

  constructor(tar: Buffer, seal: Record<string, unknown>) {
    this.tar = tar;
    this.seal = seal;
    for (let at = 0; tar[at] !== 0; ) {
      const name = tar.toString("latin1", at, tar.indexOf(0, at));
      const size = Number.parseInt(tar.toString("latin1", at + 124, at + 135), 8);
      this.#entries.set(name.slice(name.indexOf("/") + 1), { header: at, content: at + 512, size });
      at += 512 + Math.ceil(size / 512) * 512;
    }
  }

  entry(name: string): Entry {
    const found = this.#entries.get(name);
    if (found === undefined) throw new Error(`no entry ${name}`);
    return found;
  }

  text(name: string): string {
    const { content, size } = this.entry(name);
    return this.tar.toString("utf8", content, content + size);
  }

  /** Replaces text inside a file by text of the same length. */
  replace(name: string, from: string, to: string): void {
    const { content } = this.entry(name);
    const at = this.text(name).indexOf(from);
    if (at < 0 || from.length !== to.length) throw new Error(`cannot replace ${from} in ${name}`);
    this.tar.write(to, content + at);
  }

  /** Takes the last byte off a file. */
  shorten(name: string): void {
    const { header, content, size } = this.entry(name);
    this.tar[content + size - 1] = 0;
    this.tar.write((size - 1).toString(8).padStart(11, "0"), header + 124);
    this.checksum(name);
    this.#entries.set(name, { header, content, size: size - 1 });
  }

  /** Makes the header's checksum fit. */
  checksum(name: string): void {
    const { header } = this.entry(name);
    this.tar.write("        ", header + 148);
    const sum = this.tar.subarray(header, header + 512).reduce((all, byte) => all + byte, 0);
    this.tar.write(`${sum.toString(8).padStart(6, "0")}\0 `, header + 148);
  }

  tagManifests(): void {
    const lines = this.text("tagmanifest-sha256.txt").trimEnd().split("\n");
    const names = lines.map((line) => line.slice(66));
    const { content } = this.entry("tagmanifest-sha256.txt");
    this.tar.write(
      names.map((name) => `${sha256(Buffer.from(this.text(name)))}  ${name}\n`).join(""),
      content,
    );
  }

  reseal(): void {
    const whole = sha256(this.tar);
    this.seal = {
      ...this.seal,
      archiveSize: this.tar.length,
      parts: [whole],
      archiveSha256: whole,
      manifestSha256: sha256(Buffer.from(this.text("manifest.json"))),
      tagmanifestSha256: sha256(Buffer.from(this.text("tagmanifest-sha256.txt"))),
    };
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

const FORGERIES: Readonly<Record<string, readonly [code: string, change: (forged: Forgery) => void]>> = {
  "a payload byte": ["FILE_DIGEST", (f) => f.replace("data/ev/a.txt", "alpha", "alphb")],
  "bytes hidden behind a payload file": [
    "PADDING",
    (f) => f.tar.write("hidden", f.entry("data/ev/a.txt").content + 200),
  ],
  "bytes hidden behind the last payload file": [
    "PADDING",
    (f) => f.tar.write("hidden", f.entry("data/ev/b.txt").content + 200),
  ],
  "bytes hidden behind a tag file": [
    "PADDING",
    (f) => f.tar.write("hidden", f.entry("bagit.txt").content + 200),
  ],
  "another time in a payload header": [
    "HEADER",
    (f) => {
      f.tar.write("00000000001", f.entry("data/ev/a.txt").header + 136);
      f.checksum("data/ev/a.txt");
    },
  ],
  "an owner in a tag file's header": [
    "HEADER",
    (f) => {
      f.tar.write("root", f.entry("bagit.txt").header + 265);
      f.checksum("bagit.txt");
    },
  ],
  "another name of a payload file": [
    "HEADER",
    (f) => {
      f.tar.write("c", f.entry("data/ev/a.txt").header + "small/data/ev/".length);
      f.checksum("data/ev/a.txt");
    },
  ],
  "an offset": ["OFFSET", (f) => f.replace("manifest.json", '"offset":512', '"offset":513')],
  "a size in manifest.json": ["MANIFEST_JSON", (f) => f.replace("manifest.json", '"size":5,', '"size":6,')],
  "an unknown member": ["MANIFEST_JSON", (f) => f.replace("manifest.json", '"owner"', '"ownre"')],
  "white space": ["MANIFEST_JSON", (f) => f.replace("manifest.json", '"omitted":[\n]', '"omitted":[ ]')],
  "a digest in upper case": [
    "MANIFEST_JSON",
    (f) => {
      const [digest = ""] = /"[0-9a-f]*[a-f][0-9a-f]*","offset/.exec(f.text("manifest.json")) ?? [];
      f.replace(
        "manifest.json",
        digest,
        digest.replace(/^"[0-9a-f]*/, (hex) => hex.toUpperCase()),
      );
    },
  ],
  "another package id in manifest.json": [
    "MANIFEST_IDENTITY",
    (f) => {
      const id = String(Reflect.get(f.seal, "packageId"));
      f.replace("manifest.json", id, `${id.slice(0, -4)}0000`);
    },
  ],
  "a payload manifest's digest": [
    "PAYLOAD_MANIFEST",
    (f) => f.replace("manifest-sha256.txt", f.text("manifest-sha256.txt").slice(0, 8), "00000000"),
  ],
  "a payload manifest's last line end": [
    "PAYLOAD_MANIFEST",
    (f) => f.replace("manifest-sha256.txt", "data/ev/b.txt\n", "data/ev/b.txt "),
  ],
  "a payload manifest without its last line end": [
    "PAYLOAD_MANIFEST",
    (f) => {
      f.shorten("manifest-sha256.txt");
    },
  ],
  "a tag manifest without its last line end": [
    "TAG_MANIFEST",
    (f) => {
      f.tagManifests();
      f.shorten("tagmanifest-sha256.txt");
    },
  ],
  "another BagIt version": ["TAG_FILE_CONTENT", (f) => f.replace("bagit.txt", "1.0", "0.9")],
  "a false Payload-Oxum": ["TAG_FILE_CONTENT", (f) => f.replace("bag-info.txt", "Oxum: 9.2", "Oxum: 9.3")],
  "another engagement in bag-info.txt": [
    "TAG_FILE_CONTENT",
    (f) => f.replace("bag-info.txt", "acme-forged", "acme-forger"),
  ],
  "bytes in the trailer": ["TRAILER", (f) => f.tar.write("x", f.tar.length - 1)],
};

withPython("packages that are forged", () => {
  let tar: Buffer;
  let seal: Record<string, unknown>;
  let folder: string;

  beforeAll(async () => {
    await desk.write("ev/a.txt", "alpha");
    await desk.write("ev/b.txt", "beta");
    await desk.value("engagement", "create", "acme-forged");
    const id = await desk.build("acme-forged", "small", "ev");
    folder = desk.path("forged");
    tar = await readFile(join(desk.home, "packages", id, "small.tar"));
    seal = JSON.parse(await readFile(join(desk.home, "packages", id, "seal.json"), "utf8"));
  });

  async function place(bytes: Uint8Array, sealText: string): Promise<readonly [string, string]> {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder);
    await writeFile(join(folder, "small.tar"), bytes);
    await writeFile(join(folder, "small.seal.json"), sealText);
    return [join(folder, "small.tar"), join(folder, "small.seal.json")];
  }

  test("the package itself, resealed without a change, is valid", async () => {
    const forged = new Forgery(Buffer.from(tar), seal);
    forged.tagManifests();
    forged.reseal();
    const paths = await place(forged.tar, canonicalJson(forged.seal));
    expect(await python(...paths)).toEqual({ exitCode: 0, codes: [] });
    expect(await program(...paths)).toEqual({ exitCode: 0, codes: [] });
  });

  for (const [what, [code, change]] of Object.entries(FORGERIES)) {
    test(`${what}, sealed anew: ${code}`, async () => {
      const forged = new Forgery(Buffer.from(tar), seal);
      change(forged);
      forged.tagManifests();
      forged.reseal();
      const paths = await place(forged.tar, canonicalJson(forged.seal));
      const found = { python: await python(...paths), program: await program(...paths) };
      expect(found.python.codes).toContain(code);
      expect(found.program.codes).toContain(code);
      expect([found.python.exitCode, found.program.exitCode]).toEqual([1, 1]);
    });
  }

  test("a tag manifest that is not of its tag files", async () => {
    const forged = new Forgery(Buffer.from(tar), seal);
    forged.replace("tagmanifest-sha256.txt", forged.text("tagmanifest-sha256.txt").slice(0, 8), "00000000");
    forged.reseal();
    const paths = await place(forged.tar, canonicalJson(forged.seal));
    expect(await python(...paths)).toEqual({ exitCode: 1, codes: ["TAG_MANIFEST"] });
    expect(await program(...paths)).toEqual({ exitCode: 1, codes: ["TAG_MANIFEST"] });
  });

  test("bytes changed, cut off or appended under the true seal", async () => {
    const changed = Buffer.from(tar);
    changed[512] = 0x41;
    const cases = [
      [changed, "PART_DIGEST"],
      [tar.subarray(0, -512), "ARCHIVE_SIZE"],
      [Buffer.concat([tar, Buffer.alloc(512)]), "ARCHIVE_SIZE"],
      [tar.subarray(0, 100), "ARCHIVE_SIZE"],
    ] as const;
    for (const [bytes, code] of cases) {
      const paths = await place(bytes, canonicalJson(seal));
      const found = { python: await python(...paths), program: await program(...paths) };
      expect(found.python.codes).toContain(code);
      expect(found.program.codes).toContain(code);
      expect([found.python.exitCode, found.program.exitCode]).toEqual([1, 1]);
    }
  });

  test("seals that are not of format 1 are refused", async () => {
    const text = canonicalJson(seal);
    const seals = [
      JSON.stringify(seal, null, 1),
      `${text}\n`,
      canonicalJson({ ...seal, note: "more" }),
      canonicalJson({ ...seal, format: "strongroom-seal/2" }),
      canonicalJson({ ...seal, archiveLayout: 2 }),
      canonicalJson({ ...seal, encryption: "none" }),
      canonicalJson({ ...seal, parts: [] }),
      canonicalJson({ ...seal, archive: "con.tar" }),
      text.replace("{", '{"archive":"small.tar",'),
    ];
    for (const forged of seals) {
      const paths = await place(tar, forged);
      expect([(await python(...paths)).exitCode, (await program(...paths)).exitCode], forged).toEqual([2, 2]);
    }
  });

  test("signatures: of other bytes, under another name, for another package", async () => {
    const signatures = join(EXAMPLE, "sample.signatures");
    const [name = ""] = await readdir(signatures);
    const original = await readFile(join(signatures, name), "utf8");
    const flipped = original.replace(/"sig":"./, '"sig":"z');
    const fingerprint = name.slice(0, 64);
    const nameOf = (text: string) => `${fingerprint}-${sha256(Buffer.from(text))}.dsse.json`;
    const cases = [
      [nameOf(flipped), flipped],
      [name, flipped],
      [`${"0".repeat(64)}${name.slice(64)}`, original],
      [nameOf(`${original}\n`), `${original}\n`],
      ["other.dsse.json", original],
    ] as const;
    for (const [fileName, text] of cases) {
      const at = desk.path("signed");
      await rm(at, { recursive: true, force: true });
      await cp(EXAMPLE, at, { recursive: true });
      await writeFile(join(at, "sample.signatures", fileName), text);
      const paths = [join(at, "sample.tar"), join(at, "sample.seal.json")] as const;
      expect(await python(...paths), fileName).toEqual({ exitCode: 1, codes: ["SIGNATURE"] });
      expect(await program(...paths), fileName).toEqual({ exitCode: 1, codes: ["SIGNATURE"] });
    }
    const paths = await place(tar, canonicalJson(seal));
    await cp(signatures, join(folder, "small.signatures"), { recursive: true });
    expect(basename(name)).toBe(nameOf(original));
    expect(await python(...paths)).toEqual({ exitCode: 1, codes: ["SIGNATURE"] });
    expect(await program(...paths)).toEqual({ exitCode: 1, codes: ["SIGNATURE"] });
  });
});
