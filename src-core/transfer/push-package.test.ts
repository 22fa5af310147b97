import { execFileSync } from "node:child_process";
import { renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fail } from "../failing.ts";
import { assertFits } from "../vault/folder-health.ts";
import { collect, failureOf, memorySource, mounted, needsMount, scratch } from "../vault/vault-fixtures.ts";
import { listStoredPackages } from "../vault/vault-keys.ts";
import { pushPackage } from "./push-package.ts";
import {
  allFiles,
  archiveBytes,
  archiveOf,
  counting,
  ENGAGEMENT,
  KEYS,
  makeWorkplace,
  openLedger,
  PACKAGE_ID,
  PART,
  pushOptions,
  SIZE,
  STORED_FILES,
  sealOf,
  storedArchive,
  vaultFiles,
  vaultOf,
  withMethod,
} from "./transfer-fixtures.ts";

async function workplace() {
  const folder = scratch();
  makeWorkplace(folder.path);
  const db = openLedger(folder.path);
  const archive = counting(await archiveOf(folder.path));
  const close = async () => {
    await archive.close();
    db.close();
    folder[Symbol.dispose]();
  };
  return { path: folder.path, db, archive, [Symbol.asyncDispose]: close };
}

test("a push stores everything, with the seal last, and says how it was checked", async () => {
  await using at = await workplace();
  const order: string[] = [];
  const vault = withMethod(vaultOf(at.path), "put", (put) => (key, ...rest) => {
    order.push(key.slice(KEYS.prefix.length));
    return put(key, ...rest);
  });
  const states: string[] = [];
  const pushed = await pushPackage(
    pushOptions(at.path, at.db, at.archive, { vault, onState: (state) => states.push(state) }),
  );
  expect(pushed).toMatchObject({ bytes: SIZE, alreadyStored: false, method: "read back" });
  expect(pushed.stored).toMatchObject({
    packageId: PACKAGE_ID,
    size: SIZE,
    actor: "alice",
    packageDigest: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
  expect(vaultFiles(at.path)).toEqual(STORED_FILES);
  expect(storedArchive(at.path).equals(archiveBytes())).toBe(true);
  expect(order.at(-1)).toBe("seal.json");
  expect(states).toEqual([
    "sending-archive",
    "completing",
    "sending-manifest",
    "sending-signatures",
    "checking",
    "recording",
    "sealing",
    "stored",
  ]);
  expect((await collect(listStoredPackages(vault, ENGAGEMENT))).map(({ packageId }) => packageId)).toEqual([
    PACKAGE_ID,
  ]);
});

test("a package that is stored is not sent again, but signatures that were added since are", async () => {
  await using at = await workplace();
  await pushPackage(pushOptions(at.path, at.db, at.archive));
  const sent = at.archive.count();
  const later = join(at.path, "package", "bob.dsse.json");
  writeFileSync(later, "{}");
  const again = await pushPackage(pushOptions(at.path, at.db, at.archive, { signatureFiles: [later] }));
  expect(again).toMatchObject({ alreadyStored: true, method: "read back", bytes: SIZE });
  expect(at.archive.count()).toBe(sent);
  expect(vaultFiles(at.path)).toContain("signatures/bob.dsse.json");
});

test("a package whose archive somebody deleted from the vault is stored again", async () => {
  await using at = await workplace();
  await pushPackage(pushOptions(at.path, at.db, at.archive));
  rmSync(join(at.path, "vault", KEYS.archive));
  expect((await pushPackage(pushOptions(at.path, at.db, at.archive))).alreadyStored).toBe(false);
  expect(storedArchive(at.path).equals(archiveBytes())).toBe(true);
});

test("another seal of the same package is refused and nothing stored is touched", async () => {
  await using at = await workplace();
  await pushPackage(pushOptions(at.path, at.db, at.archive));
  const before = allFiles(join(at.path, "vault"));
  const other = archiveBytes();
  other[0] = 255;
  const failure = await failureOf(
    pushPackage(pushOptions(at.path, at.db, memorySource(other), sealOf(other))),
  );
  expect(failure.code).toBe("OBJECT_CONFLICT");
  expect(allFiles(join(at.path, "vault"))).toEqual(before);
  expect(storedArchive(at.path).equals(archiveBytes())).toBe(true);
});

test("bytes that differ from the seal are never stored: sending stops, the part is named, the upload is dropped", async () => {
  await using at = await workplace();
  const changed = archiveBytes();
  changed[PART * 2 + 7] = (changed[PART * 2 + 7] ?? 0) ^ 1;
  const sent: number[] = [];
  let completed = false;
  const watched = withMethod(
    withMethod(vaultOf(at.path), "putPart", (putPart) => (upload, part, options) => {
      sent.push(part.number);
      return putPart(upload, part, options);
    }),
    "completeUpload",
    (complete) =>
      (...args) => {
        completed = true;
        return complete(...args);
      },
  );
  const told: number[][] = [];
  const failure = await failureOf(
    pushPackage(
      pushOptions(at.path, at.db, memorySource(changed), {
        vault: watched,
        lanes: 1,
        onMismatch: async (...part) => {
          told.push(part);
          throw fail("SOURCE_CHANGED", "evidence/a.log changed.", "Restore it.");
        },
      }),
    ),
  );
  expect(failure).toMatchObject({ code: "SOURCE_CHANGED", message: "evidence/a.log changed." });
  expect(told).toEqual([[2, PART * 2, PART]]);
  expect(sent).toEqual([1, 2, 3]);
  expect(completed).toBe(false);
  expect(vaultFiles(at.path)).toEqual([]);
  expect(at.db.prepare("SELECT state, cause FROM transfers").get()).toMatchObject({
    state: "failed",
    cause: expect.stringContaining("evidence/a.log"),
  });
  await pushPackage(pushOptions(at.path, at.db, at.archive));
  expect(vaultFiles(at.path)).toEqual(STORED_FILES);
});

test("with several parts under way a refusal still ends everything", async () => {
  await using at = await workplace();
  const failure = await failureOf(
    pushPackage(pushOptions(at.path, at.db, memorySource(Buffer.alloc(SIZE)), { lanes: 4 })),
  );
  expect(failure.code).toBe("DIGEST_MISMATCH");
  expect(vaultFiles(at.path)).toEqual([]);
});

test("a disk that damages what was written is found by reading back; the package does not count as stored and can be sent anew", async () => {
  await using at = await workplace();
  const file = join(at.path, "vault", KEYS.archive);
  const damaging = withMethod(vaultOf(at.path), "completeUpload", (complete) => async (...args) => {
    const info = await complete(...args);
    const bytes = archiveBytes();
    bytes[PART + 1] = (bytes[PART + 1] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    return { ...info, ...(await vaultOf(at.path).head(KEYS.archive)) };
  });
  const failure = await failureOf(pushPackage(pushOptions(at.path, at.db, at.archive, { vault: damaging })));
  expect(failure.code).toBe("DIGEST_MISMATCH");
  expect(failure.message).toContain("Part 2");
  expect(vaultFiles(at.path)).toEqual(["manifest.json", "signatures/alice.dsse.json"]);
  await pushPackage(pushOptions(at.path, at.db, at.archive));
  expect(vaultFiles(at.path)).toEqual(STORED_FILES);
  expect(storedArchive(at.path).equals(archiveBytes())).toBe(true);
});

test("an object that changes while it is read back is noticed", async () => {
  await using at = await workplace();
  let reads = 0;
  const vault = withMethod(vaultOf(at.path), "readRange", (readRange) => async (object, ...rest) => {
    if (object.key === KEYS.archive && ++reads === 3)
      truncateSync(join(at.path, "vault", KEYS.archive), PART);
    await readRange(object, ...rest);
  });
  expect(
    (await failureOf(pushPackage(pushOptions(at.path, at.db, at.archive, { vault, lanes: 1 })))).code,
  ).toBe("OBJECT_CHANGED");
  expect(vaultFiles(at.path)).not.toContain("seal.json");
});

test("what somebody else stored under the key is checked, never replaced", async () => {
  await using at = await workplace();
  const other = archiveBytes();
  other[5] = (other[5] ?? 0) ^ 1;
  await vaultOf(at.path).put(KEYS.archive, other);
  expect((await failureOf(pushPackage(pushOptions(at.path, at.db, at.archive)))).code).toBe(
    "OBJECT_CONFLICT",
  );
  expect(storedArchive(at.path).equals(other)).toBe(true);
  expect(vaultFiles(at.path)).not.toContain("seal.json");
});

test("a vault that vanishes midway keeps what was sent: the next run sends the rest only", async () => {
  await using at = await workplace();
  const [vault, away] = [join(at.path, "vault"), join(at.path, "away")];
  let parts = 0;
  const vanishing = withMethod(vaultOf(at.path), "putPart", (putPart) => (...args) => {
    if (++parts === 5) renameSync(vault, away);
    return putPart(...args);
  });
  const failure = await failureOf(
    pushPackage(pushOptions(at.path, at.db, at.archive, { vault: vanishing, lanes: 1 })),
  );
  expect(failure.code).toBe("VAULT_UNREACHABLE");
  expect(failure.nextStep).toContain("run the same command again");
  renameSync(away, vault);
  const rest = counting(await archiveOf(at.path));
  await pushPackage(pushOptions(at.path, at.db, rest));
  await rest.close();
  expect(rest.count()).toBe(SIZE - 4 * PART);
  expect(vaultFiles(at.path)).toEqual(STORED_FILES);
});

test("a vault that hiccups is tried again without the user noticing", async () => {
  await using at = await workplace();
  let hiccups = 0;
  const vault = withMethod(vaultOf(at.path), "putPart", (putPart) => (...args) => {
    if (++hiccups % 3 !== 0) return Promise.reject(fail("IO_ERROR", "The share stumbled.", "Wait."));
    return putPart(...args);
  });
  expect(
    (await pushPackage(pushOptions(at.path, at.db, at.archive, { vault, lanes: 1 }))).alreadyStored,
  ).toBe(false);
  expect(vaultFiles(at.path)).toEqual(STORED_FILES);
});

test("a stopped push goes on where it was, and parts that were damaged meanwhile are sent again", async () => {
  await using at = await workplace();
  const stop = new AbortController();
  let parts = 0;
  const vault = withMethod(vaultOf(at.path), "putPart", (putPart) => async (...args) => {
    const part = await putPart(...args);
    if (++parts === 4) stop.abort();
    return part;
  });
  const first = pushPackage(
    pushOptions(at.path, at.db, at.archive, { vault, lanes: 1, signal: stop.signal }),
  );
  expect((await failureOf(first)).code).toBe("CANCELLED");
  const [upload = ""] = allFiles(join(at.path, "vault"));
  expect(upload).toMatch(/\.upload$/);
  truncateSync(join(at.path, "vault", upload), PART * 3);
  const rest = counting(await archiveOf(at.path));
  await pushPackage(pushOptions(at.path, at.db, rest));
  await rest.close();
  expect(rest.count()).toBe(SIZE - 3 * PART);
  expect(storedArchive(at.path).equals(archiveBytes())).toBe(true);
});

test("a package that does not fit is refused before anything is sent, with the sizes", async () => {
  await using at = await workplace();
  const small = withMethod(vaultOf(at.path), "requireRoom", () => async (...sizes) => {
    assertFits({ ...(await vaultOf(at.path).health()), freeBytes: 1000 }, ...sizes);
  });
  const failure = await failureOf(pushPackage(pushOptions(at.path, at.db, at.archive, { vault: small })));
  expect(failure.code).toBe("DISK_FULL");
  expect(failure.message).toContain("1000");
  expect(vaultFiles(at.path)).toEqual([]);
});

test("a disk that fills up midway can be given room, and the push goes on", async ({ skip }) => {
  needsMount(skip);
  await using at = await workplace();
  const folder = join(at.path, "vault");
  using _mount = mounted(folder, "-t", "tmpfs", "-o", "size=300k", "tmpfs");
  const unknowing = withMethod(vaultOf(at.path), "requireRoom", () => async () => undefined);
  const failure = await failureOf(pushPackage(pushOptions(at.path, at.db, at.archive, { vault: unknowing })));
  expect(failure.code).toBe("DISK_FULL");
  expect(failure.message).toContain(folder);
  execFileSync("mount", ["-o", "remount,size=8m", folder]);
  const rest = counting(await archiveOf(at.path));
  await pushPackage(pushOptions(at.path, at.db, rest));
  await rest.close();
  expect(rest.count()).toBeLessThan(SIZE - 2 * PART);
  expect(vaultFiles(at.path)).toEqual(STORED_FILES);
});

test("two devices that push the same package into one vault at once both end well", async () => {
  await using at = await workplace();
  const other = openLedger(at.path, "other.db");
  const results = await Promise.all([
    pushPackage(pushOptions(at.path, at.db, at.archive)),
    pushPackage(pushOptions(at.path, other, at.archive, { actor: "bob" })),
  ]);
  other.close();
  expect(results.map(({ bytes }) => bytes)).toEqual([SIZE, SIZE]);
  expect(storedArchive(at.path).equals(archiveBytes())).toBe(true);
  expect(allFiles(join(at.path, "vault")).filter((name) => name.endsWith(".upload"))).toEqual([]);
});

test("a device whose last step another one has overtaken and cleaned up after ends well", async () => {
  await using at = await workplace();
  const other = openLedger(at.path, "other.db");
  let overtaken = false;
  const vault = withMethod(vaultOf(at.path), "put", (put) => async (key, ...rest) => {
    if (key !== KEYS.seal || overtaken) return put(key, ...rest);
    overtaken = true;
    await pushPackage(pushOptions(at.path, other, at.archive, { actor: "bob" }));
    throw fail("PATH_NOT_FOUND", "The temporary file is gone.", "Look.");
  });
  const pushed = await pushPackage(pushOptions(at.path, at.db, at.archive, { vault }));
  other.close();
  expect(pushed.alreadyStored).toBe(true);
  expect(storedArchive(at.path).equals(archiveBytes())).toBe(true);
});
