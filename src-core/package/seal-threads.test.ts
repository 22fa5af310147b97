import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { TRAILER_SIZE } from "../archive/tar-layout.ts";
import { PlanWriter } from "./plan-file.ts";
import { SealThreads } from "./seal-threads.ts";

const MIB = 1024 * 1024;
let folder: string;
let plan: PlanWriter;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "strongroom-threads-"));
  mkdirSync(join(folder, "sources"));
  plan = new PlanWriter(folder, "pkg");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Writes a source and plans it; answers with its SHA-256. */
function planned(name: string, size: number): string {
  const content = Buffer.alloc(size, name);
  const source = join(folder, "sources", name);
  writeFileSync(source, content);
  const stats = lstatSync(source, { bigint: true });
  plan.add({
    path: `data/${name}`,
    source: Buffer.from(source),
    size,
    modifiedNs: stats.mtimeNs,
    changedNs: stats.ctimeNs,
    bornNs: stats.birthtimeNs,
    inode: stats.ino,
    mode: Number(stats.mode),
    uid: 0,
    gid: 0,
  });
  return sha256(content);
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function partsOf(archive: Buffer, partSize: number): string[] {
  return Array.from({ length: Math.ceil(archive.length / partSize) }, (_, i) =>
    sha256(archive.subarray(i * partSize, (i + 1) * partSize)),
  );
}

/** Begins after the first of two halves of the plan is there, with `assumed`; goes on and ends with `partSize`. */
async function sealInTwoSteps(assumed: number, partSize: number) {
  const archivePath = join(folder, "pkg.tar");
  writeFileSync(archivePath, "");
  const threads = new SealThreads({
    folder,
    topFolder: "pkg",
    sha512: false,
    archive: archivePath,
    checkCancelled: () => undefined,
  });
  try {
    const expected = [planned("a", 5 * MIB + 3), planned("b", 0), planned("c", 30 * MIB + 1)];
    plan.flush();
    threads.ahead(plan.archiveOffset, assumed);
    expected.push(planned("d", 7), planned("e", 20 * MIB));
    plan.flush();
    threads.ahead(plan.archiveOffset, assumed);
    plan.close();
    const digests: string[] = [];
    const payloadEnd = plan.archiveOffset;
    await threads.run(
      { start: 0, end: payloadEnd, partSize },
      ({ sha256: digest }) => digests.push(digest),
      () => undefined,
    );
    await threads.run(
      { start: payloadEnd, end: payloadEnd + TRAILER_SIZE, partSize },
      () => undefined,
      () => undefined,
    );
    return { ...(await threads.finish()), digests, expected, archive: readFileSync(archivePath) };
  } finally {
    threads.stop();
  }
}

test.each([
  ["the part size that was assumed", 16 * MIB, 16 * MIB],
  ["another part size: all is hashed again", 16 * MIB, 32 * MIB],
])("threads that begin before the plan is written give the digests of %s", async (_, assumed, partSize) => {
  const sealed = await sealInTwoSteps(assumed, partSize);
  expect(sealed.digests).toEqual(sealed.expected);
  expect(sealed.parts).toEqual(partsOf(sealed.archive, partSize));
  expect(sealed.archiveSha256).toBe(sha256(sealed.archive));
});

test("what goes wrong before the plan is written is told by the run, not by the walk", async () => {
  const threads = new SealThreads({
    folder,
    topFolder: "pkg",
    sha512: false,
    archive: null,
    checkCancelled: () => undefined,
  });
  planned("a", 5 * MIB);
  rmSync(join(folder, "sources", "a"));
  plan.flush();
  expect(() => threads.ahead(plan.archiveOffset, 16 * MIB)).not.toThrow();
  plan.close();
  const run = () =>
    threads.run(
      { start: 0, end: plan.archiveOffset, partSize: 16 * MIB },
      () => undefined,
      () => undefined,
    );
  await expect(run()).rejects.toThrow(/a changed while it was being sealed: it is gone/);
  threads.stop();
});
