import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseSeal } from "../package/seal-file.ts";
import {
  entryOf,
  type ForgedEntry,
  layOut,
  newEntry,
  putTogether,
  retag,
  rewrite,
  sealFor,
  takeApart,
} from "../testing/forge-archive.ts";
import { codesOf, failureIn, valueIn, Workroom } from "../testing/workroom.ts";

/** Seals whose parts are right for archives that are not what format 1 demands: only who checks more than the parts finds them. */
let room: Workroom;
let archive: Buffer;
let seal: ReturnType<typeof parseSeal>;
let count = 0;

beforeAll(async () => {
  room = await Workroom.open();
  room.write("evidence/a.txt", "alpha");
  room.write("evidence/b.bin", Buffer.alloc(700, 7));
  room.write("evidence/größe.txt", "gamma");
  const built = await room.build("evidence", { digest: "sha512", title: "Site A" });
  archive = readFileSync(join(built.folder, "site-a.tar"));
  seal = parseSeal(readFileSync(join(built.folder, "seal.json")));
});
afterAll(() => room.close());

interface Lie {
  readonly edit?: (entries: ForgedEntry[]) => void;
  /** Without it the tag manifests vouch for the forged tag files, as a liar would have them do. */
  readonly keepTagManifests?: boolean;
  readonly trailer?: Buffer<ArrayBuffer>;
}

function forge({ edit, keepTagManifests, trailer }: Lie): string {
  const entries = takeApart(archive);
  edit?.(entries);
  if (keepTagManifests !== true) retag(entries, "site-a");
  const forged = putTogether(entries, trailer);
  count += 1;
  return layOut(room.path(`lie-${count}`), "site-a", forged, sealFor(forged, entries, seal));
}

async function verify(lie: Lie) {
  return valueIn(await room.vault.verify({ target: forge(lie) }));
}

function replaceIn(path: string, from: string | RegExp, to: string | ((text: string) => string)) {
  return (entries: ForgedEntry[]) => {
    const entry = entryOf(entries, path);
    const before = entry.content.toString();
    const after = typeof to === "string" ? before.replace(from, to) : before.replace(from, to);
    if (before === after) throw new Error(`nothing to forge in ${path}`);
    rewrite(entry, "site-a", after);
  };
}

test("what the forger only takes apart and puts together again is valid: each refusal below has its cause", async () => {
  const report = await verify({});
  expect(report).toMatchObject({ verdict: "valid", findings: [] });
  expect(putTogether(takeApart(archive)).equals(archive)).toBe(true);
});

const first = "data/evidence/a.txt";
const LIES: readonly (readonly [string, Lie, string])[] = [
  [
    "a header with another mode",
    { edit: (all) => void entryOf(all, first).header.write("0000755\0", 100) },
    "HEADER",
  ],
  [
    "a header with another time",
    { edit: (all) => void entryOf(all, first).header.write("00000000001\0", 136) },
    "HEADER",
  ],
  [
    "a header with an owner's name",
    { edit: (all) => void entryOf(all, first).header.write("root", 265) },
    "HEADER",
  ],
  [
    "a header with another checksum",
    { edit: (all) => void entryOf(all, first).header.write("000000\0 ", 148) },
    "HEADER",
  ],
  [
    "a tag file's header with another time",
    { edit: (all) => void entryOf(all, "bagit.txt").header.write("00000000001\0", 136) },
    "HEADER",
  ],
  [
    "another offset in manifest.json",
    { edit: replaceIn("manifest.json", '"offset":512,', '"offset":513,') },
    "OFFSET",
  ],
  [
    "another time in manifest.json",
    { edit: replaceIn("manifest.json", /"modified":"2\d{3}/, '"modified":"1999') },
    "HEADER",
  ],
  [
    "another path in manifest.json",
    { edit: replaceIn("manifest.json", "data/evidence/a.txt", "data/evidence/0.txt") },
    "HEADER",
  ],
  [
    "a file that manifest.json leaves out",
    { edit: replaceIn("manifest.json", /\{"path":"data\/evidence\/a\.txt".*\n/, "") },
    "MANIFEST_JSON",
  ],
  [
    "manifest.json with white space",
    { edit: replaceIn("manifest.json", '"size":5', '"size": 5') },
    "MANIFEST_JSON",
  ],
  [
    "a manifest.json of another package",
    { edit: replaceIn("manifest.json", /"packageId":"01/, '"packageId":"02') },
    "MANIFEST_IDENTITY",
  ],
  [
    "a manifest.json of another engagement",
    { edit: replaceIn("manifest.json", '"engagement":"acme-2026"', '"engagement":"acme-2027"') },
    "MANIFEST_IDENTITY",
  ],
  [
    "manifest.json and manifest-sha256.txt with different digests",
    { edit: replaceIn("manifest-sha256.txt", /^[0-9a-f]{64}/, "0".repeat(64)) },
    "PAYLOAD_MANIFEST",
  ],
  [
    "manifest-sha256.txt with a line more",
    { edit: replaceIn("manifest-sha256.txt", /$/, `${"0".repeat(64)}  data/evidence/z\n`) },
    "PAYLOAD_MANIFEST",
  ],
  [
    "manifest-sha256.txt with a line less",
    { edit: replaceIn("manifest-sha256.txt", /[^\n]*\n$/, "") },
    "PAYLOAD_MANIFEST",
  ],
  [
    "manifest-sha256.txt in another order",
    { edit: replaceIn("manifest-sha256.txt", /^(.*\n)(.*\n)/, "$2$1") },
    "PAYLOAD_MANIFEST",
  ],
  [
    "manifest-sha512.txt with another digest",
    { edit: replaceIn("manifest-sha512.txt", /^[0-9a-f]{128}/, "0".repeat(128)) },
    "PAYLOAD_MANIFEST",
  ],
  [
    "no manifest-sha512.txt where the records have digests",
    {
      edit: (all) =>
        void all.splice(
          all.findIndex(({ path }) => path === "manifest-sha512.txt"),
          1,
        ),
    },
    "TAG_FILES",
  ],
  [
    "tag manifests that vouch for other tag files",
    { edit: replaceIn("tagmanifest-sha256.txt", /^[0-9a-f]{64}/, "0".repeat(64)), keepTagManifests: true },
    "TAG_MANIFEST",
  ],
  [
    "a sha512 tag manifest that vouches for others",
    { edit: replaceIn("tagmanifest-sha512.txt", /^[0-9a-f]{128}/, "0".repeat(128)), keepTagManifests: true },
    "TAG_MANIFEST",
  ],
  [
    "SHA-512 digests in manifest.json that no payload manifest repeats",
    { edit: (all) => void all.splice(0, all.length, ...all.filter(({ path }) => !path.includes("sha512"))) },
    "PAYLOAD_MANIFEST",
  ],
  ["another bagit.txt", { edit: replaceIn("bagit.txt", "1.0", "0.97") }, "TAG_FILE_CONTENT"],
  [
    "another Payload-Oxum",
    { edit: replaceIn("bag-info.txt", /Payload-Oxum: \d+/, "Payload-Oxum: 1") },
    "TAG_FILE_CONTENT",
  ],
  [
    "tag files in another order",
    { edit: (all) => void all.splice(3, 2, ...all.slice(3, 5).reverse()) },
    "TAG_FILES",
  ],
  [
    "an entry hidden before the payload",
    { edit: (all) => void all.unshift(newEntry("site-a", "data/evidence/0", "hidden")) },
    "HEADER",
  ],
  [
    "an entry hidden between payload and tag files",
    { edit: (all) => void all.splice(3, 0, newEntry("site-a", "data/hidden", "hidden")) },
    "HEADER",
  ],
  [
    "an entry hidden between tag files",
    { edit: (all) => void all.splice(5, 0, newEntry("site-a", "data/hidden", "hidden")) },
    "HEADER",
  ],
  [
    "an entry hidden after the last tag file",
    { edit: (all) => void all.push(newEntry("site-a", "data/hidden", "hidden")) },
    "TRAILER",
  ],
  [
    "a tag file more",
    { edit: (all) => void all.splice(5, 0, newEntry("site-a", "extra.txt", "extra")) },
    "TAG_FILES",
  ],
  [
    "an entry outside the top folder",
    { edit: (all) => void all.push(newEntry("elsewhere", "extra.txt", "extra")) },
    "TAG_FILES",
  ],
  [
    "bytes hidden in a payload file's padding",
    { edit: (all) => void entryOf(all, first).padding.write("hidden") },
    "PADDING",
  ],
  [
    "bytes hidden in the last payload file's padding",
    { edit: (all) => void entryOf(all, "data/evidence/größe.txt").padding.write("hidden") },
    "PADDING",
  ],
  [
    "bytes hidden in a tag file's padding",
    { edit: (all) => void entryOf(all, "manifest.json").padding.write("hidden") },
    "PADDING",
  ],
  [
    "bytes hidden in the last tag file's padding",
    {
      edit: (all) => void entryOf(all, "tagmanifest-sha512.txt").padding.write("hidden", 10),
      keepTagManifests: true,
    },
    "PADDING",
  ],
  ["bytes hidden in the trailer", { trailer: Buffer.alloc(1024, 1, "latin1") }, "TRAILER"],
  ["blocks after the trailer", { trailer: Buffer.alloc(10_240) }, "TRAILER"],
  ["half a trailer", { trailer: Buffer.alloc(512) }, "TRAILER"],
  ["no trailer", { trailer: Buffer.alloc(0) }, "TRAILER"],
];

describe("a seal whose parts are right is refused for", () => {
  test.each(LIES)("%s", async (_, lie, code) => {
    const report = await verify(lie);
    expect(report.verdict).toBe("not valid");
    expect(codesOf(report)).toContain(code);
    expect(codesOf(report)).not.toContain("PART_DIGEST");
  });
});

describe("digests that lie about the files", () => {
  const wrong = "0".repeat(64);
  const right = createHash("sha256").update("alpha").digest("hex");
  const lie: Lie = {
    edit: (all) => {
      replaceIn("manifest.json", right, wrong)(all);
      replaceIn("manifest-sha256.txt", right, wrong)(all);
    },
  };

  test("are found by the first verification of a package from elsewhere, which names the file", async () => {
    const report = await verify(lie);
    expect(report).toMatchObject({ verdict: "not valid", method: "sealed archive, full" });
    expect(report.findings).toMatchObject([
      { code: "FILE_DIGEST", path: first, expected: wrong, actual: right },
    ]);
  });

  test("are found again: a package that was not valid is not known afterwards", async () => {
    const target = forge(lie);
    valueIn(await room.vault.verify({ target }));
    expect(valueIn(await room.vault.verify({ target })).verdict).toBe("not valid");
  });

  test("are found where only the SHA-512 lies", async () => {
    const right512 = createHash("sha512").update("alpha").digest("hex");
    const report = await verify({
      edit: (all) => {
        replaceIn("manifest.json", right512, "0".repeat(128))(all);
        replaceIn("manifest-sha512.txt", right512, "0".repeat(128))(all);
      },
    });
    expect(codesOf(report)).toEqual(["FILE_DIGEST"]);
  });

  test("are refused on import, which leaves nothing behind", async () => {
    const other = await room.openOther("other-home");
    const failure = failureIn(await other.packageImport({ path: forge(lie) }));
    expect(failure.code).toBe("NOT_VALID");
    expect(failure.message).toContain(first);
    expect(valueIn(await other.packageList({}))).toEqual([]);
    expect(valueIn(await other.engagementList({}))).toEqual([]);
    await other.close();
  });
});

test("a lying archiveSha256 is found by the first verification", async () => {
  const entries = takeApart(archive);
  const bytes = sealFor(archive, entries, seal).toString();
  const forged = bytes.replace(/"archiveSha256":"[0-9a-f]{64}"/, `"archiveSha256":"${"0".repeat(64)}"`);
  const target = layOut(room.path("archive-digest"), "site-a", archive, Buffer.from(forged));
  expect(codesOf(valueIn(await room.vault.verify({ target })))).toEqual(["ARCHIVE_DIGEST"]);
});
