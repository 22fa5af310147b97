import { readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { canonicalJson } from "../package/canonical-json.ts";
import { failureOf, mounted, needsMount, scratch } from "../vault/vault-fixtures.ts";
import { findStored, openStoredArchive, pullManifest, pullPackage } from "./pull-package.ts";
import { pushPackage } from "./push-package.ts";
import { readStoredSeal } from "./stored-seal.ts";
import {
  allFiles,
  archiveBytes,
  archiveOf,
  ENGAGEMENT,
  KEYS,
  makeWorkplace,
  openLedger,
  PACKAGE_ID,
  PART,
  pullOptions,
  pushOptions,
  SIZE,
  sealOf,
  vaultOf,
  withMethod,
} from "./transfer-fixtures.ts";

const PULLED_FILES = ["site-a.seal.json", "site-a.signatures/alice.dsse.json", "site-a.tar"];

/** A workplace whose package is in the vault. */
async function stored() {
  const folder = scratch();
  makeWorkplace(folder.path);
  const db = openLedger(folder.path);
  const archive = await archiveOf(folder.path);
  await pushPackage(pushOptions(folder.path, db, archive));
  await archive.close();
  const dispose = () => {
    db.close();
    folder[Symbol.dispose]();
  };
  const { path } = folder;
  return {
    path,
    pulled: join(path, "pulled"),
    inVault: join(path, "vault", KEYS.archive),
    db,
    [Symbol.dispose]: dispose,
  };
}

function damage(file: string, at: number): void {
  const bytes = readFileSync(file);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}

test("a pulled package is the sealed one, and pulling it again is no error", async () => {
  using at = await stored();
  const states: string[] = [];
  const first = await pullPackage(pullOptions(at.path, at.db, { onState: (state) => states.push(state) }));
  expect(first).toMatchObject({
    bytes: SIZE,
    archive: join(at.pulled, "site-a.tar"),
    sealFile: join(at.pulled, "site-a.seal.json"),
  });
  expect(states).toEqual(["receiving", "publishing", "received"]);
  expect(allFiles(at.pulled)).toEqual(PULLED_FILES);
  expect(readFileSync(first.archive).equals(archiveBytes())).toBe(true);
  expect(Buffer.compare(first.sealBytes, readFileSync(first.sealFile))).toBe(0);
  await pullPackage(pullOptions(at.path, at.db));
  expect(allFiles(at.pulled)).toEqual(PULLED_FILES);
});

test("a package that was damaged in the vault is not pulled: the part is named and nothing is left", async () => {
  using at = await stored();
  damage(at.inVault, PART * 4);
  const failure = await failureOf(pullPackage(pullOptions(at.path, at.db)));
  expect(failure.code).toBe("DIGEST_MISMATCH");
  expect(failure.message).toContain("Part 5");
  expect(allFiles(at.pulled)).toEqual([]);
});

test("an archive that is replaced or cut between two ranges is noticed, and nothing looks whole", async () => {
  using at = await stored();
  let reads = 0;
  const vault = withMethod(vaultOf(at.path), "readRange", (readRange) => async (object, ...rest) => {
    if (object.key === KEYS.archive && ++reads === 4) truncateSync(at.inVault, PART);
    await readRange(object, ...rest);
  });
  expect((await failureOf(pullPackage(pullOptions(at.path, at.db, { vault, lanes: 1 })))).code).toBe(
    "OBJECT_CHANGED",
  );
  expect(allFiles(at.pulled).filter((name) => !name.startsWith("."))).toEqual([]);
  expect((await failureOf(pullPackage(pullOptions(at.path, at.db)))).code).toBe("NOT_VALID");
});

test("a stopped pull goes on where it was; what was damaged on disk meanwhile is fetched again", async () => {
  using at = await stored();
  const stop = new AbortController();
  let reads = 0;
  const stopping = withMethod(vaultOf(at.path), "readRange", (readRange) => async (object, ...rest) => {
    if (object.key === KEYS.archive && ++reads === 5) stop.abort();
    await readRange(object, ...rest);
  });
  const first = pullPackage(pullOptions(at.path, at.db, { vault: stopping, lanes: 1, signal: stop.signal }));
  expect((await failureOf(first)).code).toBe("CANCELLED");
  const [partial = ""] = allFiles(at.pulled);
  expect(partial).toMatch(/^\.site-a\.tar\.[0-9a-f]+\.partial$/);
  damage(join(at.pulled, partial), PART + 3);
  const fetched: number[] = [];
  const watched = withMethod(
    vaultOf(at.path),
    "readRange",
    (readRange) =>
      async (object, offset, ...rest) => {
        if (object.key === KEYS.archive) fetched.push(offset / PART);
        await readRange(object, offset, ...rest);
      },
  );
  await pullPackage(pullOptions(at.path, at.db, { vault: watched, lanes: 1 }));
  expect(fetched).toContain(1);
  expect(fetched).not.toContain(0);
  expect(fetched).not.toContain(2);
  expect(readFileSync(join(at.pulled, "site-a.tar")).equals(archiveBytes())).toBe(true);
});

test("a file that is in the way is never replaced", async () => {
  using at = await stored();
  const file = join(at.pulled, "site-a.tar");
  writeFileSync(file, "mine");
  const failure = await failureOf(pullPackage(pullOptions(at.path, at.db)));
  expect(failure).toMatchObject({ code: "PATH_EXISTS", message: expect.stringContaining(file) });
  expect(readFileSync(file, "utf8")).toBe("mine");
  expect(allFiles(at.pulled)).toEqual(["site-a.tar"]);
});

test("a disk that is too small is found out before the first byte", async ({ skip }) => {
  needsMount(skip);
  using at = await stored();
  using _mount = mounted(at.pulled, "-t", "tmpfs", "-o", "size=256k", "tmpfs");
  const failure = await failureOf(pullPackage(pullOptions(at.path, at.db)));
  expect(failure.code).toBe("DISK_FULL");
  expect(failure.message).toContain(String(SIZE));
  expect(readdirSync(at.pulled)).toEqual([]);
});

test("a package that is not there, or is not whole, says which", async () => {
  using at = await stored();
  const other = "01938c7e-7b3a-7000-8000-000000000009";
  expect((await failureOf(pullPackage(pullOptions(at.path, at.db, { packageId: other })))).code).toBe(
    "PACKAGE_NOT_STORED",
  );
  truncateSync(at.inVault, 100);
  const failure = await failureOf(pullPackage(pullOptions(at.path, at.db)));
  expect(failure).toMatchObject({ code: "NOT_VALID", message: expect.stringContaining("100 bytes") });
});

test("what is no seal of a known format, or another package's, is refused", async () => {
  using at = await stored();
  const file = join(at.path, "vault", KEYS.seal);
  const { seal } = sealOf(archiveBytes());
  const hostile = [
    "",
    "{}",
    "\ufeff{}",
    canonicalJson({ ...seal, format: "strongroom-seal/2" }),
    canonicalJson({ ...seal, surprise: true }),
    canonicalJson({ ...seal, archive: "../../x.tar" }),
    canonicalJson({ ...seal, parts: seal.parts.slice(1) }),
    canonicalJson({ ...seal, engagement: "other" }),
    " ".repeat(5 * 1024 * 1024),
  ];
  for (const text of hostile) {
    writeFileSync(file, text);
    expect((await failureOf(readStoredSeal(vaultOf(at.path), KEYS))).code, text.slice(0, 80)).toBe(
      "SEAL_INVALID",
    );
  }
});

test("manifest.json is fetched only if it is the sealed one", async () => {
  using at = await stored();
  const found = await findStored(vaultOf(at.path), ENGAGEMENT, PACKAGE_ID);
  const target = join(at.pulled, "manifest.json");
  await pullManifest(vaultOf(at.path), found.stored, target);
  expect(readFileSync(target).equals(readFileSync(join(at.path, "package", "manifest.json")))).toBe(true);
  expect((await failureOf(pullManifest(vaultOf(at.path), found.stored, target))).code).toBe("PATH_EXISTS");
  damage(join(at.path, "vault", KEYS.manifest), 3);
  expect(
    (await failureOf(pullManifest(vaultOf(at.path), found.stored, join(at.pulled, "other.json")))).code,
  ).toBe("DIGEST_MISMATCH");
  expect(allFiles(at.pulled)).toEqual(["manifest.json"]);
});

test("any range of a stored archive can be read without fetching it", async () => {
  using at = await stored();
  const { object } = await findStored(vaultOf(at.path), ENGAGEMENT, PACKAGE_ID);
  const source = openStoredArchive(vaultOf(at.path), object);
  const target = Buffer.alloc(5000);
  await source.read(PART - 100, target);
  await source.close();
  expect(source.size).toBe(SIZE);
  expect(target.equals(archiveBytes().subarray(PART - 100, PART + 4900))).toBe(true);
});
