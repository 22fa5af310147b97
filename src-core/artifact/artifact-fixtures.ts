import { createHash, randomBytes } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Outcome } from "../../src-contract/failure.ts";
import type { OpenedVault } from "../open-vault.ts";
import { failureIn, valueIn, type Workroom } from "../testing/workroom.ts";

const MIB = 1024 * 1024;
const AUDIT = "acme-2026";
const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");

/** For tests only: a device whose engagement has a vault, and what somebody else can do to that vault. */
export interface ArtifactPlace extends AsyncDisposable {
  readonly room: Workroom;
  readonly vault: OpenedVault;
  /** The vault's name. */
  readonly name: string;
  /** Puts bytes under a key with another program; with `digest` that is told as theirs. */
  readonly putByHand: (key: string, bytes: Uint8Array, digest?: string) => Promise<void>;
  /** Whether a digest can be told of bytes that are there already. */
  readonly tellsLater: boolean;
  /** All that lies under `campaigns/`, uploads under way too. */
  readonly everything: () => Promise<readonly string[]>;
}

async function* streamOf(...pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

/** What was given out, and how the call ended. */
async function given(
  vault: OpenedVault,
  name: string,
): Promise<{ bytes: Buffer; outcome: Outcome<unknown> }> {
  const pieces: Uint8Array[] = [];
  const outcome = await vault.artifactGet(
    { audit: AUDIT, phase: "01_recon", name },
    { onContent: async (bytes) => void pieces.push(Buffer.from(bytes)) },
  );
  return { bytes: Buffer.concat(pieces), outcome };
}

/** What holds for artifacts in every kind of vault. */
export function describeArtifacts(kind: string, open: () => Promise<ArtifactPlace>): void {
  describe(kind, () => {
    test.each([0, 1, 5 * MIB, 16 * MIB, 33 * MIB + 5])(
      "a file of %i bytes comes back as it was put, with its digest",
      async (size) => {
        await using place = await open();
        const { vault, room } = place;
        const bytes = randomBytes(size);
        const file = room.write("work/data.bin", bytes);
        const put = valueIn(await vault.artifactPut({ audit: AUDIT, phase: "scanning", file }));
        expect(put).toEqual({
          audit: AUDIT,
          phase: "02_scanning",
          name: "data.bin",
          key: "campaigns/acme-2026/02_scanning/data.bin",
          vault: place.name,
          size,
          sha256: sha256(bytes),
          mediaType: "application/octet-stream",
          alreadyStored: false,
        });
        const to = room.path("out");
        const got = valueIn(
          await vault.artifactGet({ audit: AUDIT, phase: "02_scanning", name: "data.bin", to }),
        );
        expect(got).toMatchObject({ path: join(to, "data.bin"), size, sha256: sha256(bytes), checked: true });
        expect(readFileSync(join(to, "data.bin")).equals(bytes)).toBe(true);
        expect(readdirSync(to)).toEqual(["data.bin"]);
        expect(await place.everything()).toEqual(["campaigns/acme-2026/02_scanning/data.bin"]);
      },
    );

    test.each([0, 100, 20 * MIB])("a stream of %i bytes is kept as a file is", async (size) => {
      await using place = await open();
      const bytes = randomBytes(size);
      const put = valueIn(
        await place.vault.artifactPut(
          { audit: AUDIT, phase: "01_recon", name: "feed.json" },
          { content: streamOf(bytes.subarray(0, 10), bytes.subarray(10)) },
        ),
      );
      expect(put).toMatchObject({ size, sha256: sha256(bytes), mediaType: "application/json" });
      const { bytes: back, outcome } = await given(place.vault, "feed.json");
      expect(valueIn(outcome)).toMatchObject({ path: null, checked: true, sha256: sha256(bytes) });
      expect(back.equals(bytes)).toBe(true);
      expect(await place.everything()).toEqual(["campaigns/acme-2026/01_recon/feed.json"]);
    });

    test("the same bytes again are a success, other bytes are refused, from a file and from a stream", async () => {
      await using place = await open();
      const { vault, room } = place;
      for (const size of [10, 20 * MIB]) {
        const bytes = randomBytes(size);
        const name = `${size}.bin`;
        const request = { audit: AUDIT, phase: "01_recon", name };
        const file = room.write(`work/${name}`, bytes);
        const other = room.write(`work/other-${name}`, randomBytes(size));
        expect(valueIn(await vault.artifactPut({ ...request, file })).alreadyStored).toBe(false);
        expect(valueIn(await vault.artifactPut({ ...request, file })).alreadyStored).toBe(true);
        const content = () => ({ content: streamOf(bytes) });
        expect(valueIn(await vault.artifactPut(request, content())).alreadyStored).toBe(true);
        expect(failureIn(await vault.artifactPut({ ...request, file: other })).code).toBe("OBJECT_CONFLICT");
        const wrong = { content: streamOf(randomBytes(size)) };
        expect(failureIn(await vault.artifactPut(request, wrong)).code).toBe("OBJECT_CONFLICT");
        expect((await given(vault, name)).bytes.equals(bytes)).toBe(true);
      }
      expect(await place.everything()).toHaveLength(2);
    });

    test("bytes that differ from the kept digest leave no file, and are not given out whole", async () => {
      await using place = await open();
      const { vault, room } = place;
      for (const size of [100, 40 * MIB]) {
        const bytes = randomBytes(size);
        const name = `${size}.bin`;
        await place.putByHand(`campaigns/${AUDIT}/01_recon/${name}`, bytes, sha256("something else"));
        const to = room.path(`out-${size}`);
        const failure = failureIn(await vault.artifactGet({ audit: AUDIT, phase: "recon", name, to }));
        expect(failure).toMatchObject({
          code: "DIGEST_MISMATCH",
          details: { expected: sha256("something else"), actual: sha256(bytes) },
        });
        expect(readdirSync(to)).toEqual([]);
        const { bytes: out, outcome } = await given(vault, name);
        expect(failureIn(outcome).code).toBe("DIGEST_MISMATCH");
        expect(out.length).toBeLessThan(size);
        expect(out.equals(bytes.subarray(0, out.length))).toBe(true);
      }
      expect((await given(vault, "100.bin")).bytes).toHaveLength(0);
    });

    test("what another program put without a digest is fetched with a warning, and put again as it is", async () => {
      await using place = await open();
      const { vault, room } = place;
      const key = `campaigns/${AUDIT}/01_recon/theirs.json`;
      await place.putByHand(key, Buffer.from("{}"));
      const to = room.path("out");
      const request = { audit: AUDIT, phase: "01_recon", name: "theirs.json" };
      const got = await vault.artifactGet({ ...request, to });
      expect(got).toMatchObject({ ok: true, value: { checked: false, sha256: sha256("{}") } });
      expect(got.ok && got.warnings?.[0]?.message).toContain("Nothing could be checked");
      expect(readFileSync(join(to, "theirs.json"), "utf8")).toBe("{}");
      const again = await vault.artifactPut({ ...request, file: join(to, "theirs.json") });
      expect(again).toMatchObject({ ok: true, value: { alreadyStored: true } });
      const told = place.tellsLater ? undefined : expect.stringContaining("keeps no SHA-256");
      expect(again.ok && again.warnings?.[0]?.message).toEqual(told);
      const { outcome } = await given(vault, "theirs.json");
      expect(outcome).toMatchObject({ ok: true, value: { checked: place.tellsLater } });
    });

    test("a list tells all phases or one, and digests on demand", async () => {
      await using place = await open();
      const { vault, room } = place;
      const file = room.write("work/a b ü.json", "{}");
      for (const phase of ["01_recon", "Execution", "05_report"]) {
        valueIn(await vault.artifactPut({ audit: AUDIT, phase, file }));
      }
      await place.putByHand(`campaigns/${AUDIT}/01_recon/sub/deep.txt`, Buffer.from("x"));
      await place.putByHand("campaigns/other/01_recon/x.json", Buffer.from("x"));
      const names = (phase?: string) =>
        vault
          .artifactList({ audit: AUDIT, phase })
          .then((outcome) => valueIn(outcome).map((one) => `${one.phase}/${one.name}`));
      expect(await names()).toEqual([
        "01_recon/a b ü.json",
        "01_recon/sub/deep.txt",
        "04_execution/a b ü.json",
        "05_report/a b ü.json",
      ]);
      expect(await names("RECONNAISSANCE")).toEqual(["01_recon/a b ü.json", "01_recon/sub/deep.txt"]);
      expect(await names("02_scanning")).toEqual([]);
      const listed = valueIn(await vault.artifactList({ audit: AUDIT, digests: true }));
      expect(listed.map((one) => one.sha256)).toEqual([sha256("{}"), null, sha256("{}"), sha256("{}")]);
      expect(Math.abs(Date.parse(listed[0]?.stored ?? "") - Date.now())).toBeLessThan(60_000);
      const { bytes } = await given(vault, "sub/deep.txt");
      expect(bytes.toString()).toBe("x");
    });

    test("a source that changes, breaks or is stopped is never stored", async () => {
      await using place = await open();
      const { vault, room } = place;
      const file = room.write("work/large.bin", randomBytes(40 * MIB));
      const changed = await vault.artifactPut(
        { audit: AUDIT, phase: "01_recon", file },
        { onProgress: ({ phase, done, total }) => void (phase === "hash" && done === total && flip(file)) },
      );
      expect(failureIn(changed)).toMatchObject({ code: "SOURCE_CHANGED", subject: file });
      async function* broken() {
        yield randomBytes(20 * MIB);
        throw Object.assign(new Error("read EIO"), { code: "EIO" });
      }
      const request = { audit: AUDIT, phase: "01_recon", name: "x" };
      expect(failureIn(await vault.artifactPut(request, { content: broken() })).code).toBe("IO_ERROR");
      const stop = new AbortController();
      const stopped = await vault.artifactPut(
        { audit: AUDIT, phase: "01_recon", file },
        { signal: stop.signal, onProgress: ({ phase }) => void (phase === "send" && stop.abort()) },
      );
      expect(failureIn(stopped).code).toBe("CANCELLED");
      expect(await place.everything()).toEqual([]);
    });
  });
}

function flip(file: string): void {
  const bytes = readFileSync(file);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  writeFileSync(file, bytes);
}
