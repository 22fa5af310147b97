import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Seal } from "../../src-contract/seal.ts";
import { VirtualTar } from "../archive/virtual-tar.ts";
import { valueIn, Workroom } from "../testing/workroom.ts";
import { PIECE_SIZE } from "./plan-file.ts";
import { parseSeal } from "./seal-file.ts";

let room: Workroom;
beforeAll(async () => {
  room = await Workroom.open();
});
afterAll(() => room.close());

const PART = 16 * 1024 * 1024;

/** Sizes at which a piece, a part, a block or their sum with a header begins or ends. */
const size = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(0, 1, 511, 512, 513, 1023, 1024) },
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 70_000 }) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        fc.constantFrom(PIECE_SIZE, 2 * PIECE_SIZE),
        fc.constantFrom(-2048, -1536, -1024, -513, -512, -511, -1, 0, 1, 512),
      )
      .map(([base, more]) => base + more),
  },
  { weight: 1, arbitrary: fc.constantFrom(PART - 1536, PART - 1024, PART - 512, PART, PART + 1) },
);

const segment = fc.oneof(
  fc.constantFrom(
    "a",
    "a.b",
    "a-b",
    "A",
    "%0A",
    "new\nline",
    "tab\t",
    "größe",
    "😀",
    "trailing ",
    " lead",
    "-dash",
    "\u0001",
    "~",
    "ﬀ",
    "n".repeat(99),
    "m".repeat(255),
    "é".repeat(120),
  ),
  fc
    .string({ minLength: 1, maxLength: 12, unit: "grapheme" })
    .filter((name) => !/[/\0\\]|^\.|^\._/.test(name) && name.normalize("NFC") === name),
);
const tree = fc
  .array(
    fc.tuple(
      fc.array(segment, { minLength: 1, maxLength: 3 }),
      size,
      fc.integer({ min: -5, max: 4_000_000_000 }),
    ),
    {
      minLength: 1,
      maxLength: 14,
    },
  )
  .filter((files) => files.reduce((sum, [, bytes]) => sum + bytes, 0) < 40_000_000);

/** Creates what the tree says, as far as names do not stand in each other's way; answers with contents by path. */
function plant(
  folder: string,
  files: readonly (readonly [readonly string[], number, number])[],
): Map<string, Buffer> {
  const made = new Map<string, Buffer>();
  for (const [i, [segments, length, seconds]] of files.entries()) {
    const path = segments.join("/");
    const content = Buffer.alloc(length, createHash("sha256").update(`${path}${i}`).digest());
    try {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), content, { flag: "wx" });
    } catch {
      continue;
    }
    utimesSync(join(folder, path), seconds, seconds);
    made.set(path, content);
  }
  return made;
}

test("copy, reference and any range of the virtual tar give the same bytes; all digests are those of node:crypto", async () => {
  let run = 0;
  await fc.assert(
    fc.asyncProperty(
      tree,
      fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
      async (files, random) => {
        run += 1;
        const made = plant(room.path(`tree-${run}`, "ev"), files);
        const source = `tree-${run}/ev`;
        const copied = await room.build(source, { digest: "sha512" });
        const referred = await room.build(source, { mode: "reference", digest: "sha512" });
        const archive = readFileSync(join(copied.folder, "site-a.tar"));
        const seal = parseSeal(readFileSync(join(copied.folder, "seal.json")));
        const partsOf = (bytes: Buffer, { partSize }: Seal) =>
          Array.from({ length: Math.ceil(bytes.length / partSize) }, (_, i) =>
            createHash("sha256")
              .update(bytes.subarray(i * partSize, (i + 1) * partSize))
              .digest("hex"),
          );
        expect(seal.parts).toEqual(partsOf(archive, seal));
        expect(seal.archiveSha256).toBe(createHash("sha256").update(archive).digest("hex"));
        expect(seal.archiveSize).toBe(archive.length);

        const listed = valueIn(await room.vault.packageFiles({ package: copied.id })).files;
        expect(listed.map(({ path }) => path)).toEqual(
          [...made.keys()]
            .map((path) => `data/ev/${path}`)
            .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
        );
        for (const record of listed) {
          const content = made.get(record.path.slice("data/ev/".length)) ?? Buffer.alloc(0);
          expect(record.sha256).toBe(createHash("sha256").update(content).digest("hex"));
          expect(record.sha512).toBe(createHash("sha512").update(content).digest("hex"));
          expect(archive.subarray(record.offset, record.offset + record.size).equals(content)).toBe(true);
        }

        const sealed = parseSeal(readFileSync(join(referred.folder, "seal.json")));
        const virtual = new VirtualTar(referred.folder, "site-a", sealed.archiveSize);
        try {
          const produced = Buffer.alloc(virtual.size);
          await virtual.read(0, produced);
          expect(sealed.parts).toEqual(partsOf(produced, sealed));
          // The two packages have different ids and times, so their payload regions are compared, not their tag files.
          const payloadEnd = Math.max(...listed.map(({ offset, size: length }) => offset + length));
          expect(produced.subarray(0, payloadEnd).equals(archive.subarray(0, payloadEnd))).toBe(true);
          for (let i = 0; i < 25; i++) {
            const from = Math.floor((random.next().value as number) * virtual.size);
            const to = Math.min(
              virtual.size,
              from + Math.ceil((random.next().value as number) ** 3 * (virtual.size - from)),
            );
            const range = Buffer.alloc(to - from, 0xff);
            await virtual.read(from, range);
            expect(range.equals(produced.subarray(from, to))).toBe(true);
          }
        } finally {
          await virtual.close();
        }
        expect(valueIn(await room.vault.verify({ target: copied.id, full: true })).verdict).toBe("valid");
        expect(valueIn(await room.vault.verify({ target: referred.id })).verdict).toBe("valid");
      },
    ),
    { numRuns: 6 },
  );
}, 120_000);
