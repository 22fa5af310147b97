import { mkdirSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createFileDurably } from "./durable-files.ts";
import { sealPackage } from "./package/seal-package.ts";
import { pullPackage } from "./transfer/pull-package.ts";
import { pushPackage } from "./transfer/push-package.ts";
import {
  archiveBytes,
  archiveOf,
  KEYS,
  makeWorkplace,
  openLedger,
  PART,
  pullOptions,
  pushOptions,
  sealOf,
  vaultOf,
} from "./transfer/transfer-fixtures.ts";
import { memorySource, scratch } from "./vault/vault-fixtures.ts";

/** One call that makes a file or folder survive power loss, as the system saw it. */
interface Sync {
  readonly inode: bigint;
  readonly bytes: bigint;
  /** The path by which it was open. */
  readonly path: string;
}

let folder: ReturnType<typeof scratch>;
let synced: Sync[];
beforeEach(async () => {
  folder = scratch();
  synced = [];
  const handle = await open(folder.path);
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  for (const name of ["sync", "datasync"] as const) {
    const original = prototype[name];
    vi.spyOn(prototype, name).mockImplementation(async function (this: FileHandle) {
      const { ino, size } = await this.stat({ bigint: true });
      await original.call(this);
      synced.push({ inode: ino, bytes: size, path: readlinkSync(`/proc/self/fd/${this.fd}`) });
    });
  }
});
afterEach(() => {
  vi.restoreAllMocks();
  folder[Symbol.dispose]();
});

/**
 * A crash of the machine at any moment leaves the name free or the file whole: the last sync of the file saw all its bytes under
 * another name, and the folder was synced after the file had its name.
 */
function expectPublishedDurably(target: string): void {
  const { ino, size } = statSync(target, { bigint: true });
  const ofFile = synced.findLastIndex(({ inode }) => inode === ino);
  const ofFolder = synced.findLastIndex(({ path }) => path === dirname(target));
  expect(synced[ofFile], `${target} was synced`).toMatchObject({ bytes: size });
  expect(synced[ofFile]?.path, "synced before it had its name").not.toBe(target);
  expect(ofFolder, "the folder was synced after it").toBeGreaterThan(ofFile);
}

describe.runIf(process.platform === "linux")("power loss", () => {
  test("finds a file that was created durably whole or absent", async () => {
    const target = join(folder.path, "created.json");
    await createFileDurably(target, "content");
    expectPublishedDurably(target);
  });

  test("finds an object of a vault whole or absent", async () => {
    mkdirSync(join(folder.path, "vault"));
    await vaultOf(folder.path).put(KEYS.seal, Buffer.from("{}"));
    expectPublishedDurably(join(folder.path, "vault", KEYS.seal));
  });

  test("finds every part that a vault has taken", async () => {
    mkdirSync(join(folder.path, "vault"));
    const vault = vaultOf(folder.path);
    const bytes = archiveBytes();
    const upload = await vault.beginUpload(KEYS.archive, bytes.length, PART);
    for (const number of [1, 2]) {
      const before = synced.length;
      await vault.putPart(upload, {
        number,
        source: memorySource(bytes),
        offset: (number - 1) * PART,
        size: PART,
        sha256: sealOf(bytes).seal.parts[number - 1] ?? null,
      });
      expect(synced.slice(before).map((sync) => sync.bytes)).toEqual([BigInt(number * PART)]);
    }
  });

  test("finds a stored package whole in the vault, and a pulled one whole on disk", async () => {
    makeWorkplace(folder.path);
    const db = openLedger(folder.path);
    const archive = await archiveOf(folder.path);
    await pushPackage(pushOptions(folder.path, db, archive));
    for (const key of [KEYS.archive, KEYS.manifest, KEYS.seal])
      expectPublishedDurably(join(folder.path, "vault", key));
    const pulled = join(folder.path, "pulled", "site-a.tar");
    await pullPackage(pullOptions(folder.path, db));
    expectPublishedDurably(pulled);
    await archive.close();
    db.close();
  });

  test.each([
    ["copy", ["site-a.tar"]],
    ["reference", ["plan.index", "plan.records"]],
  ] as const)("finds all files of a draft that was sealed by %s", async (mode, own) => {
    const draft = join(folder.path, "draft");
    for (const name of ["draft", "evidence", "home"]) mkdirSync(join(folder.path, name));
    writeFileSync(join(folder.path, "evidence", "a.txt"), "alpha");
    await sealPackage(
      {
        walk: {
          sources: [join(folder.path, "evidence")],
          home: join(folder.path, "home"),
          includeLitter: false,
          storeNonUnicode: false,
        },
        folder: draft,
        packageId: "01938c7e-7b3a-7000-8000-000000000001",
        engagement: "acme-2026",
        name: "site-a",
        mode,
        sha512: true,
        described: { metadata: {} },
        client: null,
        device: "device",
        program: "strongroom test",
        created: 0,
        cancel: new SharedArrayBuffer(4),
      },
      () => undefined,
    );
    const files = [
      "bag-info.txt",
      "bagit.txt",
      "manifest-sha256.txt",
      "manifest-sha512.txt",
      "manifest.json",
      "seal.json",
      "tagmanifest-sha256.txt",
      "tagmanifest-sha512.txt",
      ...own,
    ];
    const whole = synced.map(({ path, bytes }) => `${path} ${bytes}`).sort();
    expect(whole).toEqual(
      files.map((name) => `${join(draft, name)} ${statSync(join(draft, name)).size}`).sort(),
    );
  });
});
