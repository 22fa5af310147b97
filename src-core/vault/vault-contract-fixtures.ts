import { createHash, randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { fail } from "../failing.ts";
import type { RangeSource, Vault } from "../ports.ts";
import { collect, failureOf, memorySource } from "./vault-fixtures.ts";

/** For tests only: an empty vault, and what somebody else can do to it behind its back. */
export interface VaultPlace extends AsyncDisposable {
  readonly vault: Vault;
  /** A second opening of the same place. */
  readonly again: () => Vault;
  /** Puts other bytes under a key, whatever is there. */
  readonly replace: (key: string, bytes: Uint8Array) => Promise<void>;
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** An upload of `bytes` in parts of `partSize`, with a function that sends one part of it. */
async function begun(vault: Vault, key: string, bytes: Uint8Array, partSize: number) {
  const upload = await vault.beginUpload(key, bytes.length, partSize);
  const send = (number: number, source: RangeSource = memorySource(bytes)) => {
    const offset = (number - 1) * partSize;
    const size = Math.min(partSize, bytes.length - offset);
    const digest = sha256(bytes.subarray(offset, offset + size));
    return vault.putPart(upload, { number, source, offset, size, sha256: digest });
  };
  return { upload, send };
}

async function contentOf(vault: Vault, key: string): Promise<Buffer> {
  const info = await vault.head(key);
  if (info === null) throw new Error(`nothing is stored as ${key}`);
  const bytes = Buffer.alloc(info.size);
  await vault.getRange(info, 0, bytes);
  return bytes;
}

/** What every kind of vault must do (`Vault` in ports.ts). `partSize`: bytes that the kind takes as a part. */
export function describeVault(kind: string, partSize: number, open: () => Promise<VaultPlace>): void {
  describe(kind, () => {
    test("an upload is invisible until it is complete, then it holds exactly the bytes sent", async () => {
      await using place = await open();
      const { vault } = place;
      const bytes = randomBytes(partSize * 2 + 1000);
      const before = Date.now();
      const { upload, send } = await begun(vault, "a/b/x.tar", bytes, partSize);
      const parts = [await send(3), await send(1), await send(2)];
      expect(await vault.head("a/b/x.tar")).toBeNull();
      expect(await collect(vault.list(""))).toEqual([]);
      const [found, ...others] = await collect(vault.listUploads("a/"));
      expect(others).toEqual([]);
      expect(found).toMatchObject({ key: "a/b/x.tar", uploadId: upload.uploadId });
      expect(Math.abs((found?.begun ?? 0) - before)).toBeLessThan(60_000);
      expect(await collect(vault.listUploads("b/"))).toEqual([]);
      const info = await vault.completeUpload(upload, parts);
      expect(info.size).toBe(bytes.length);
      expect((await contentOf(place.again(), "a/b/x.tar")).equals(bytes)).toBe(true);
      expect((await collect(vault.list(""))).map(({ key }) => key)).toEqual(["a/b/x.tar"]);
      expect(await collect(vault.listUploads(""))).toEqual([]);
    });

    test("a part keeps its tag, whoever asks, and the last one sent counts", async () => {
      await using place = await open();
      const bytes = randomBytes(partSize * 3);
      const { upload, send } = await begun(place.vault, "x.tar", bytes, partSize);
      const [first, third] = [await send(1), await send(3)];
      expect(await place.again().listParts(upload)).toEqual([first, third]);
      expect(await send(1)).toEqual(first);
      expect(await place.vault.listParts(upload)).toEqual([first, third]);
      expect((await failureOf(place.vault.completeUpload(upload, [first, third]))).code).toBe(
        "OBJECT_CHANGED",
      );
      const second = await send(2);
      await place.vault.completeUpload(upload, [first, second, third]);
      expect((await contentOf(place.vault, "x.tar")).equals(bytes)).toBe(true);
    });

    test("a part whose bytes differ from the sealed digest is refused and named, and those before it stay", async () => {
      await using place = await open();
      const { vault } = place;
      const bytes = randomBytes(partSize * 2);
      const { upload, send } = await begun(vault, "x.tar", bytes, partSize);
      const first = await send(1);
      const failure = await failureOf(send(2, memorySource(randomBytes(partSize * 2))));
      expect(failure.code).toBe("DIGEST_MISMATCH");
      expect(failure.message).toContain("Part 2 of x.tar");
      expect((await failureOf(send(1, memorySource(randomBytes(partSize * 2))))).code).toBe(
        "DIGEST_MISMATCH",
      );
      const second = await send(2);
      expect((await send(1)).tag).toBe(first.tag);
      await vault.completeUpload(upload, [first, second]);
      expect((await contentOf(vault, "x.tar")).equals(bytes)).toBe(true);
    });

    test("a dropped upload is gone, and dropping it again is a success", async () => {
      await using place = await open();
      const { vault } = place;
      const { upload, send } = await begun(vault, "x.tar", randomBytes(partSize), partSize);
      const part = await send(1);
      await vault.abortUpload(upload);
      await vault.abortUpload(upload);
      expect(await collect(vault.listUploads(""))).toEqual([]);
      expect((await failureOf(send(1))).code).toBe("OBJECT_CHANGED");
      expect((await failureOf(vault.listParts(upload))).code).toBe("OBJECT_CHANGED");
      expect((await failureOf(vault.completeUpload(upload, [part]))).code).toBe("OBJECT_CHANGED");
      expect(await vault.head("x.tar")).toBeNull();
    });

    test("nothing stored is rewritten: other bytes under a taken key are refused, the same bytes are a success", async () => {
      await using place = await open();
      const { vault } = place;
      const first = await vault.put("a/seal.json", Buffer.from("one"));
      expect(await vault.put("a/seal.json", Buffer.from("one"))).toEqual(first);
      expect((await failureOf(vault.put("a/seal.json", Buffer.from("two")))).code).toBe("OBJECT_CONFLICT");
      expect((await failureOf(vault.put("a/seal.json", Buffer.from("three")))).code).toBe("OBJECT_CONFLICT");
      const { upload, send } = await begun(vault, "a/seal.json", randomBytes(3), partSize);
      const part = await send(1);
      expect((await failureOf(vault.completeUpload(upload, [part]))).code).toBe("OBJECT_CONFLICT");
      await vault.abortUpload(upload);
      expect((await contentOf(vault, "a/seal.json")).toString()).toBe("one");
    });

    test("bytes that are not those of their digest are not put", async () => {
      await using place = await open();
      const said = { sha256: sha256(Buffer.from("one")) };
      expect((await failureOf(place.vault.put("x", Buffer.from("two"), said))).code).toBe("DIGEST_MISMATCH");
      expect(await place.vault.head("x")).toBeNull();
      expect((await place.vault.put("x", Buffer.from("one"), said)).size).toBe(3);
    });

    test("of many writers of one key exactly one wins", async () => {
      await using place = await open();
      const vaults = Array.from({ length: 8 }, () => place.again());
      const results = await Promise.all(
        vaults.map((vault, i) => failureOf(vault.put("k/x", Buffer.from(`writer ${i}`)))),
      );
      expect(results.filter(({ code }) => code === "OBJECT_CONFLICT")).toHaveLength(7);
      const winner = results.findIndex(({ code }) => code === "no failure");
      expect((await contentOf(place.vault, "k/x")).toString()).toBe(`writer ${winner}`);
    });

    test("keys that could leave the vault, or that could not be listed, are refused", async () => {
      await using place = await open();
      for (const key of [
        "",
        "/etc/passwd",
        "a/../../x",
        "..",
        ".",
        "a//b",
        "a/",
        "a\0b",
        "a/./b",
        "a/\ud800",
      ]) {
        expect((await failureOf(place.vault.put(key, Buffer.from("x")))).code, key).toBe("INVALID_INPUT");
        expect((await failureOf(place.vault.head(key))).code, key).toBe("INVALID_INPUT");
        expect((await failureOf(place.vault.delete(key))).code, key).toBe("INVALID_INPUT");
      }
    });

    test("objects are listed in bytewise order of key, whatever lies between them", async () => {
      await using place = await open();
      const { vault } = place;
      const keys = ["a-b/x", "a/x", "a/y/z", "a.txt", "a b+c%20&d", "é/x", "z", "\u{1f600}", "\uffee"];
      for (const key of keys) await vault.put(key, Buffer.from(key));
      const listed = await collect(vault.list(""));
      const inOrder = [...keys].sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
      expect(listed.map(({ key }) => key)).toEqual(inOrder);
      for (const { key, size, version } of listed) {
        expect(await vault.head(key)).toMatchObject({ key, size, version });
        expect((await contentOf(vault, key)).toString()).toBe(key);
      }
      const under = async (prefix: string) => (await collect(vault.list(prefix))).map(({ key }) => key);
      expect(await under("a/")).toEqual(["a/x", "a/y/z"]);
      expect(await under("a/y")).toEqual(["a/y/z"]);
      expect(await under("none/")).toEqual([]);
    });

    test("a range is streamed in order, in pieces of any size, and ends where it was to end", async () => {
      await using place = await open();
      const bytes = randomBytes(5 * 1024 ** 2 + 77);
      const object = await place.vault.put("x", bytes);
      for (const [offset, size] of [
        [0, bytes.length],
        [3, 2 * 1024 ** 2],
        [bytes.length - 1, 1],
        [5, 0],
      ] as const) {
        const got = Buffer.alloc(size);
        let next = 0;
        await place.vault.readRange(object, offset, size, async (at, piece) => {
          expect(at).toBe(next);
          got.set(piece, at);
          // Whoever hands on the next piece before this one is done would overwrite it.
          await new Promise((resolve) => setTimeout(resolve, 5));
          expect(Buffer.compare(got.subarray(at, at + piece.length), piece)).toBe(0);
          next += piece.length;
        });
        expect(next).toBe(size);
        expect(got.equals(bytes.subarray(offset, offset + size)), `${offset}+${size}`).toBe(true);
      }
    });

    test("what a consumer throws is what comes out, and nothing is consumed after it", async () => {
      await using place = await open();
      const object = await place.vault.put("x", randomBytes(9 * 1024 ** 2));
      let calls = 0;
      const full = fail("DISK_FULL", "The disk is full.", "Free some space.");
      const reading = place.vault.readRange(object, 0, object.size, async () => {
        calls++;
        throw full;
      });
      expect((await failureOf(reading)).code).toBe("DISK_FULL");
      expect(calls).toBe(1);
    });

    test("a range is of the version that was asked for, or it is refused", async () => {
      await using place = await open();
      const { vault } = place;
      const bytes = randomBytes(1000);
      const object = await vault.put("x", bytes);
      const target = new Uint8Array(10);
      await vault.getRange(object, 990, target);
      expect(Buffer.from(target).equals(bytes.subarray(990))).toBe(true);
      await place.replace("x", randomBytes(1000));
      expect((await failureOf(vault.getRange(object, 0, target))).code).toBe("OBJECT_CHANGED");
      await place.replace("x", randomBytes(10));
      expect((await failureOf(vault.getRange(object, 900, target))).code).toBe("OBJECT_CHANGED");
      await vault.delete("x");
      await vault.delete("x");
      expect(await vault.head("x")).toBeNull();
      expect((await failureOf(vault.getRange(object, 0, target))).code).toBe("OBJECT_CHANGED");
    });

    test("a source that fails ends its part with that very failure, and is read no more", async () => {
      await using place = await open();
      const bytes = randomBytes(partSize);
      const { upload, send } = await begun(place.vault, "x.tar", bytes, partSize);
      let reading = 0;
      const changing: RangeSource = {
        ...memorySource(bytes),
        async read(offset, target) {
          reading++;
          await new Promise((resolve) => setTimeout(resolve, 20));
          reading--;
          if (offset + target.length === partSize)
            throw fail("SOURCE_CHANGED", "a.txt changed.", "Seal it anew.");
          target.set(bytes.subarray(offset, offset + target.length));
        },
      };
      expect((await failureOf(send(1, changing))).code).toBe("SOURCE_CHANGED");
      expect(reading).toBe(0);
      const whole = await send(1);
      expect((await place.vault.listParts(upload))[0]).toEqual(whole);
    });

    test("a limit is asked before bytes go out, and told of all of them", async () => {
      await using place = await open();
      const bytes = randomBytes(partSize);
      const upload = await place.vault.beginUpload("x.tar", bytes.length, partSize);
      let [allowed, sent] = [0, 0];
      const body = {
        number: 1,
        source: memorySource(bytes),
        offset: 0,
        size: partSize,
        sha256: sha256(bytes),
      };
      await place.vault.putPart(upload, body, {
        pace: async (count) => {
          allowed += count;
        },
        onBytes: (count) => {
          sent += count;
          expect(sent).toBeLessThanOrEqual(allowed);
        },
      });
      expect([allowed, sent]).toEqual([partSize, partSize]);
    });

    test("work that is called off ends at once as called off", async () => {
      await using place = await open();
      const { vault } = place;
      const bytes = randomBytes(partSize);
      const object = await vault.put("x", bytes);
      const upload = await vault.beginUpload("x.tar", bytes.length, partSize);
      const off = AbortSignal.abort();
      const body = {
        number: 1,
        source: memorySource(bytes),
        offset: 0,
        size: partSize,
        sha256: sha256(bytes),
      };
      const consume = async () => undefined;
      for (const work of [
        () => vault.put("y", bytes, { signal: off }),
        () => vault.putPart(upload, body, { signal: off }),
        () => vault.readRange(object, 0, bytes.length, consume, off),
      ]) {
        expect((await failureOf(work())).code).toBe("CANCELLED");
      }
      const stop = new AbortController();
      const reading = vault.readRange(object, 0, bytes.length, async () => stop.abort(), stop.signal);
      expect(["CANCELLED", "no failure"]).toContain((await failureOf(reading)).code);
      expect(await vault.head("y")).toBeNull();
    });

    test("a good place is fit, and the probes leave nothing behind", async () => {
      await using place = await open();
      const health = await place.vault.health();
      expect(health.fit).toBe(true);
      expect(health.probes.find(({ name }) => name === "writable")?.result).toBe("ok");
      expect(await collect(place.vault.list(""))).toEqual([]);
      expect(await collect(place.vault.listUploads(""))).toEqual([]);
      expect((await failureOf(place.vault.requireRoom(1000, 1000))).code).toBe("no failure");
    });
  });
}
