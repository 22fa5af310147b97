import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { canonicalJson } from "../src-core/package/canonical-json.ts";
import { Desk } from "./run-cli.ts";
import { Forgery, sha256 } from "./second-implementation/forgery.ts";
import { EXAMPLE, program, python, skipped } from "./second-implementation/verdicts.ts";

const withPython = describe.skipIf(skipped);
let desk: Desk;
beforeAll(async () => {
  desk = await Desk.open();
});
afterAll(async () => {
  await desk.close();
});

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
    expect(await program(desk, ...paths)).toEqual({ exitCode: 0, codes: [] });
  });

  for (const [what, [code, change]] of Object.entries(FORGERIES)) {
    test(`${what}, sealed anew: ${code}`, async () => {
      const forged = new Forgery(Buffer.from(tar), seal);
      change(forged);
      forged.tagManifests();
      forged.reseal();
      const paths = await place(forged.tar, canonicalJson(forged.seal));
      const found = { python: await python(...paths), program: await program(desk, ...paths) };
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
    expect(await program(desk, ...paths)).toEqual({ exitCode: 1, codes: ["TAG_MANIFEST"] });
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
      const found = { python: await python(...paths), program: await program(desk, ...paths) };
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
      expect([(await python(...paths)).exitCode, (await program(desk, ...paths)).exitCode], forged).toEqual([
        2, 2,
      ]);
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
      expect(await program(desk, ...paths), fileName).toEqual({ exitCode: 1, codes: ["SIGNATURE"] });
    }
    const paths = await place(tar, canonicalJson(seal));
    await cp(signatures, join(folder, "small.signatures"), { recursive: true });
    expect(basename(name)).toBe(nameOf(original));
    expect(await python(...paths)).toEqual({ exitCode: 1, codes: ["SIGNATURE"] });
    expect(await program(desk, ...paths)).toEqual({ exitCode: 1, codes: ["SIGNATURE"] });
  });
});
