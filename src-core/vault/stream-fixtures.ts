import { createHash, randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { fail } from "../failing.ts";
import type { Vault } from "../ports.ts";
import type { VaultPlace } from "./vault-contract-fixtures.ts";
import { collect, failureOf, memorySource } from "./vault-fixtures.ts";

const MIB = 1024 * 1024;
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** In pieces of odd sizes, as a pipe gives them. */
async function* streamOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0, size = 1; at < bytes.length; at += size, size = (size * 7 + 1) % 100_003) {
    yield bytes.subarray(at, at + size);
  }
}

async function contentOf(vault: Vault, key: string): Promise<Buffer> {
  const info = await vault.head(key);
  if (info === null) throw new Error(`nothing is stored as ${key}`);
  const bytes = Buffer.alloc(info.size);
  await vault.readRange(info, 0, info.size, async (at, piece) => void bytes.set(piece, at));
  return bytes;
}

/** All that lies in the vault: objects, and uploads under way. */
async function everything(vault: Vault): Promise<string[]> {
  const objects = (await collect(vault.list(""))).map(({ key }) => key);
  return [...objects, ...(await collect(vault.listUploads(""))).map(({ key }) => `upload of ${key}`)];
}

/** What every kind of vault must do with metadata and with streams (`Vault` in ports.ts). */
export function describeStreams(kind: string, open: () => Promise<VaultPlace>): void {
  describe(kind, () => {
    test("a digest that is stored with an object comes back with it, and is no object itself", async () => {
      await using place = await open();
      const { vault } = place;
      const small = randomBytes(1000);
      const large = randomBytes(11 * MIB);
      await vault.put("a/small.json", small, {
        metadata: { sha256: sha256(small) },
        contentType: "application/json",
      });
      const upload = await vault.beginUpload("a/large.bin", large.length, 6 * MIB, {
        metadata: { sha256: sha256(large) },
      });
      const parts = [];
      for (const [index, offset] of [0, 6 * MIB].entries()) {
        const size = Math.min(6 * MIB, large.length - offset);
        const source = memorySource(large);
        parts.push(await vault.putPart(upload, { number: index + 1, source, offset, size, sha256: null }));
      }
      await vault.completeUpload(upload, parts);
      await vault.put("a/none.txt", small);
      const again = place.again();
      expect((await again.head("a/small.json"))?.metadata).toEqual({ sha256: sha256(small) });
      expect((await again.head("a/large.bin"))?.metadata).toEqual({ sha256: sha256(large) });
      expect((await again.head("a/none.txt"))?.metadata).toEqual({});
      expect(await everything(again)).toEqual(["a/large.bin", "a/none.txt", "a/small.json"]);
      await vault.delete("a/small.json");
      await vault.put("a/small.json", Buffer.from("another"));
      expect((await again.head("a/small.json"))?.metadata).toEqual({});
    });

    test.each([0, 1, 16 * MIB - 1, 16 * MIB, 16 * MIB + 1, 40 * MIB + 12_345])(
      "a stream of %i bytes is stored whole, with its digest, and nothing else is left",
      async (size) => {
        await using place = await open();
        const bytes = randomBytes(size);
        const streamed = await place.vault.putStream("c/x/data.bin", streamOf(bytes), {
          contentType: "application/octet-stream",
        });
        expect(streamed).toMatchObject({
          sha256: sha256(bytes),
          bytes: size,
          already: false,
          leftUndone: [],
          info: { key: "c/x/data.bin", size },
        });
        const again = place.again();
        expect((await again.head("c/x/data.bin"))?.metadata).toEqual({ sha256: sha256(bytes) });
        expect((await contentOf(again, "c/x/data.bin")).equals(bytes)).toBe(true);
        expect(await everything(again)).toEqual(["c/x/data.bin"]);
      },
    );

    test("the same stream again is a success, another one is refused, and what is stored stays", async () => {
      await using place = await open();
      const { vault } = place;
      for (const size of [100, 17 * MIB]) {
        const key = `c/${size}.bin`;
        const bytes = randomBytes(size);
        await vault.putStream(key, streamOf(bytes));
        expect(await vault.putStream(key, streamOf(bytes))).toMatchObject({ already: true, bytes: size });
        for (const other of [randomBytes(size), randomBytes(size + 1)]) {
          expect(await failureOf(vault.putStream(key, streamOf(other)))).toMatchObject({
            code: "OBJECT_CONFLICT",
          });
        }
        expect((await contentOf(vault, key)).equals(bytes)).toBe(true);
      }
      expect(await everything(vault)).toEqual(["c/100.bin", `c/${17 * MIB}.bin`]);
    });

    test("of two streams that race for one key one wins, and nothing else is left", async () => {
      await using place = await open();
      const all = [randomBytes(18 * MIB), randomBytes(18 * MIB)];
      const results = await Promise.all(
        all.map((bytes) => failureOf(place.again().putStream("c/x.bin", streamOf(bytes)))),
      );
      const winners = results.flatMap(({ code }, index) => (code === "no failure" ? [index] : []));
      expect(winners.length).toBeGreaterThan(0);
      const stored = await contentOf(place.vault, "c/x.bin");
      expect(winners.some((index) => all[index]?.equals(stored))).toBe(true);
      expect(await everything(place.vault)).toEqual(["c/x.bin"]);
    });

    test.each([100, 40 * MIB])(
      "a stream that breaks off after %i bytes leaves nothing, and its own failure is told",
      async (size) => {
        await using place = await open();
        async function* broken() {
          yield* streamOf(randomBytes(size));
          throw fail("IO_ERROR", "the source broke", "Look at it.");
        }
        const failure = await failureOf(place.vault.putStream("c/x.bin", broken()));
        expect(failure).toMatchObject({ code: "IO_ERROR", message: "the source broke" });
        expect(await place.vault.head("c/x.bin")).toBeNull();
        expect(await everything(place.vault)).toEqual([]);
      },
    );

    test.each([0, 40 * MIB])("one that says no more after %i bytes can be stopped", async (size) => {
      await using place = await open();
      const stop = new AbortController();
      async function* silent() {
        yield* streamOf(randomBytes(size));
        setTimeout(() => stop.abort(), 50);
        await new Promise(() => undefined);
      }
      const stopped = place.vault.putStream("c/x.bin", silent(), { signal: stop.signal });
      expect(await failureOf(stopped)).toMatchObject({ code: "CANCELLED" });
      expect(await place.vault.head("c/x.bin")).toBeNull();
      expect(await everything(place.vault)).toEqual([]);
    });
  });
}
