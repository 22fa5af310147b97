import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Progress } from "../../src-contract/progress.ts";
import type { Db } from "../catalog/database.ts";
import { fail } from "../failing.ts";
import type { ObjectInfo, RangeSource, Vault } from "../ports.ts";
import { collect, failureOf, memorySource, scratch } from "../vault/vault-fixtures.ts";
import { type PushedPackage, type PushOptions, pushPackage } from "./push-package.ts";
import { COMMAND_RETRY, type RetryPolicy } from "./retry.ts";
import {
  archiveBytes,
  archiveOf,
  counting,
  KEYS,
  makeWorkplace,
  openLedger,
  PARTS,
  pushOptions,
  SIZE,
  STORED_FILES,
  sealOf,
  storedArchive,
  vaultFiles,
  vaultOf,
  withMethod,
} from "./transfer-fixtures.ts";

let folder: ReturnType<typeof scratch>;
let db: Db;
let archive: RangeSource;
beforeEach(async () => {
  folder = scratch();
  makeWorkplace(folder.path);
  db = openLedger(folder.path);
  archive = await archiveOf(folder.path);
});
afterEach(async () => {
  await archive.close();
  db.close();
  folder[Symbol.dispose]();
});

const push = (vault: Vault, more: Partial<PushOptions> = {}): Promise<PushedPackage> =>
  pushPackage(pushOptions(folder.path, db, archive, { vault, lanes: 1, ...more }));
const lost = () => fail("VAULT_UNREACHABLE", "The line is dead.", "Wait.");

/** The agent's policy, which never gives up by itself, and its waits; a runaway ends here. */
function patience(): RetryPolicy & { readonly waits: number[] } {
  const waits: number[] = [];
  const sleep = async (ms: number) => {
    if (waits.push(ms) > 9) throw new Error("it goes on without end");
  };
  return {
    tries: Number.POSITIVE_INFINITY,
    firstMs: 100,
    longestMs: 60_000,
    random: () => 0.5,
    sleep,
    waits,
  };
}

/** The vault, and the numbers of the parts that it is sent. */
function watched(vault: Vault): { readonly vault: Vault; readonly sent: number[] } {
  const sent: number[] = [];
  const putPart = (original: Vault["putPart"]): Vault["putPart"] => {
    return (upload, part, options) => {
      sent.push(part.number);
      return original(upload, part, options);
    };
  };
  return { vault: withMethod(vault, "putPart", putPart), sent };
}

test("an archive of one part is tried as often as the policy says, and no more", async () => {
  let tries = 0;
  const vault = withMethod(vaultOf(folder.path), "put", (put) => async (key, ...rest) => {
    if (key !== KEYS.archive) return await put(key, ...rest);
    tries++;
    throw lost();
  });
  const bytes = archiveBytes().subarray(0, 1000);
  const small = { ...sealOf(bytes), archive: memorySource(bytes) };
  expect((await failureOf(push(vault, small))).code).toBe("VAULT_UNREACHABLE");
  expect(tries).toBe(COMMAND_RETRY.tries);
});

test("an upload that is dropped under way is begun anew in the same run, and progress still ends with the archive's size", async () => {
  const real = vaultOf(folder.path);
  let dropped = false;
  const { vault, sent } = watched(
    withMethod(real, "putPart", (putPart) => async (upload, part, options) => {
      if (part.number === 4 && !dropped) {
        dropped = true;
        await real.abortUpload(upload);
      }
      return await putPart(upload, part, options);
    }),
  );
  const progress: Progress[] = [];
  const states: string[] = [];
  await push(vault, {
    onProgress: (now) => progress.push(now),
    onState: (state) => states.push(state),
  });
  expect(sent).toEqual([1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8]);
  expect(storedArchive(folder.path).equals(archiveBytes())).toBe(true);
  expect(vaultFiles(folder.path)).toEqual(STORED_FILES);
  const told = progress.filter(({ phase, subject }) => phase === "send" && subject === "site-a.tar");
  expect(told.at(-1)).toMatchObject({ done: SIZE, total: SIZE });
  expect(states.slice(0, 3)).toEqual(["sending-archive", "completing", "sending-manifest"]);
});

test("an upload that is dropped every time is begun anew four times, after waits, however patient the policy is", async () => {
  const real = vaultOf(folder.path);
  let begun = 0;
  const vault = withMethod(
    withMethod(real, "putPart", (putPart) => async (upload, part, options) => {
      await real.abortUpload(upload);
      return await putPart(upload, part, options);
    }),
    "beginUpload",
    (begin) =>
      (...args) => {
        begun++;
        return begin(...args);
      },
  );
  const patient = patience();
  const failure = await failureOf(push(vault, { retry: patient }));
  expect(failure).toMatchObject({ code: "OBJECT_CHANGED", nextStep: expect.stringContaining("again") });
  expect(begun).toBe(5);
  expect(patient.waits).toEqual([50, 100, 200, 400]);
  expect(vaultFiles(folder.path)).toEqual([]);
  await push(real);
  expect(vaultFiles(folder.path)).toEqual(STORED_FILES);
});

test("where the store has lost a part when the upload is completed, that part alone is sent again", async () => {
  let completed = 0;
  let lists = 0;
  const { vault, sent } = watched(
    withMethod(
      withMethod(vaultOf(folder.path), "listParts", (list) => async (...args) => {
        lists++;
        return (await list(...args)).map((part) => (part.number === 3 ? { ...part, tag: "other" } : part));
      }),
      "completeUpload",
      (complete) =>
        async (...args) => {
          if (completed++ > 0) return await complete(...args);
          throw fail("OBJECT_CHANGED", "The store has not all of its parts.", "Run the same command again.");
        },
    ),
  );
  await push(vault);
  expect([completed, lists]).toEqual([2, 1]);
  expect(sent).toEqual([...Array.from({ length: PARTS }, (_, index) => index + 1), 3]);
  expect(storedArchive(folder.path).equals(archiveBytes())).toBe(true);
});

test("an upload that the store never completes is completed five times, after waits, and its parts are sent once", async () => {
  let completed = 0;
  const { vault, sent } = watched(
    withMethod(vaultOf(folder.path), "completeUpload", () => async () => {
      completed++;
      throw fail("OBJECT_CHANGED", "The store has not all of its parts.", "Run the same command again.");
    }),
  );
  const patient = patience();
  expect((await failureOf(push(vault, { retry: patient }))).code).toBe("OBJECT_CHANGED");
  expect(completed).toBe(5);
  expect(patient.waits).toEqual([50, 100, 200, 400]);
  expect(sent).toEqual(Array.from({ length: PARTS }, (_, index) => index + 1));
});

test("a user who stops it while an upload waits to be begun anew is heard", async () => {
  const real = vaultOf(folder.path);
  const stop = new AbortController();
  const { vault, sent } = watched(
    withMethod(real, "putPart", (putPart) => async (upload, part, options) => {
      await real.abortUpload(upload);
      return await putPart(upload, part, options);
    }),
  );
  const retry = { ...patience(), sleep: async () => stop.abort() };
  expect((await failureOf(push(vault, { retry, signal: stop.signal }))).code).toBe("CANCELLED");
  expect(sent).toEqual([1]);
});

test("an upload whose object somebody else has stored meanwhile is not begun anew", async () => {
  const real = vaultOf(folder.path);
  let begun = 0;
  const vault = withMethod(
    withMethod(real, "putPart", (putPart) => async (upload, part, options) => {
      await real.abortUpload(upload);
      await real.put(KEYS.archive, archiveBytes());
      return await putPart(upload, part, options);
    }),
    "beginUpload",
    (begin) =>
      (...args) => {
        begun++;
        return begin(...args);
      },
  );
  expect((await failureOf(push(vault))).code).toBe("OBJECT_CHANGED");
  expect(begun).toBe(1);
  expect(await push(real)).toMatchObject({ alreadyStored: false, method: "read back" });
});

test("what another device has put under the archive's key is never taken away, though an upload of ours was begun", async () => {
  const real = vaultOf(folder.path);
  const stopping = withMethod(real, "putPart", (putPart) => async (upload, part, options) => {
    if (part.number === 3) throw fail("DISK_FULL", "The disk is full.", "Free some space.");
    return await putPart(upload, part, options);
  });
  expect((await failureOf(push(stopping))).code).toBe("DISK_FULL");
  const others = Buffer.alloc(SIZE, 1);
  await real.put(KEYS.archive, others);
  expect((await failureOf(push(real))).code).toBe("OBJECT_CONFLICT");
  expect(storedArchive(folder.path).equals(others)).toBe(true);
});

test("runs that stop after it was recorded that the package is stored leave one record", async () => {
  const real = vaultOf(folder.path);
  const vault = withMethod(real, "put", (put) => async (key, ...rest) => {
    if (key === KEYS.seal) throw lost();
    return await put(key, ...rest);
  });
  let now = 0;
  const clock = { now: () => (now += 60_000) };
  for (let run = 0; run < 3; run++)
    expect((await failureOf(push(vault, { clock }))).code).toBe("VAULT_UNREACHABLE");
  const pushed = await push(real, { clock });
  expect(vaultFiles(folder.path)).toEqual(STORED_FILES);
  expect(pushed.alreadyStored).toBe(false);
  const [record] = await collect(real.list(KEYS.storedPrefix));
  expect(JSON.parse(readFileSync(join(folder.path, "vault", record?.key ?? ""), "utf8"))).toEqual(
    pushed.stored,
  );
});

test("the record says how the archive was checked, also where manifest.json had to be read back", async () => {
  const real = vaultOf(folder.path);
  const reads: string[] = [];
  const vault: Vault = {
    ...real,
    attest: ({ key }) =>
      key === KEYS.archive
        ? { method: "etag of the parts", matches: true, expected: "e", actual: "e" }
        : null,
    readRange: (object, ...rest) => {
      reads.push(object.key);
      return real.readRange(object, ...rest);
    },
  };
  const pushed = await push(vault);
  expect(reads).toEqual([KEYS.manifest]);
  expect([pushed.method, pushed.stored?.method]).toEqual(["etag of the parts", "etag of the parts"]);
});

describe("a package whose archive was lost from the vault", () => {
  const file = (key: string) => join(folder.path, "vault", key);
  const damage = () => {
    const bytes = storedArchive(folder.path);
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    writeFileSync(file(KEYS.archive), bytes);
  };
  /** Takes the archive's bytes and damages them. */
  const damaging = (vault: Vault) =>
    withMethod(vault, "completeUpload", (complete) => async (...args) => {
      await complete(...args);
      damage();
      return (await vault.head(KEYS.archive)) as ObjectInfo;
    });
  beforeEach(async () => {
    await push(vaultOf(folder.path));
    rmSync(file(KEYS.archive));
  });

  test("is not called stored when the end check finds other bytes, in this run or the next", async () => {
    const real = vaultOf(folder.path);
    expect((await failureOf(push(damaging(real)))).code).toBe("OBJECT_CONFLICT");
    const failure = await failureOf(push(real));
    expect(failure).toMatchObject({ code: "OBJECT_CONFLICT", subject: KEYS.archive });
    expect(failure.nextStep).toContain("push the package again");
    expect(db.prepare("SELECT state FROM transfers").pluck().get()).toBe("failed");
    rmSync(file(KEYS.archive));
    expect((await push(real)).alreadyStored).toBe(false);
    expect(storedArchive(folder.path).equals(archiveBytes())).toBe(true);
  });

  test("is checked by the next run when one stops between storing and checking it", async () => {
    const real = vaultOf(folder.path);
    const stopping = withMethod(real, "readRange", () => async () => {
      throw fail("PERMISSION_MISSING", "Reading is not allowed.", "Ask for the permission.");
    });
    expect((await failureOf(push(damaging(stopping)))).code).toBe("PERMISSION_MISSING");
    expect((await failureOf(push(real))).code).toBe("OBJECT_CONFLICT");
    rmSync(file(KEYS.archive));
    expect((await failureOf(push(stopping))).code).toBe("PERMISSION_MISSING");
    const pushed = await push(real);
    expect(pushed).toMatchObject({ alreadyStored: false, method: "read back" });
    expect(pushed.stored.version).toBe((await real.head(KEYS.archive))?.version);
    expect(await push(real)).toMatchObject({ alreadyStored: true, stored: pushed.stored });
  });
});

test("an archive that was put back by other means is read before it is called stored", async () => {
  const real = vaultOf(folder.path);
  await push(real);
  const bytes = archiveBytes();
  const file = join(folder.path, "vault", KEYS.archive);
  rmSync(file);
  writeFileSync(file, bytes);
  const { vault, sent } = watched(real);
  expect(await push(vault)).toMatchObject({ alreadyStored: false, method: "read back" });
  expect(sent).toEqual([]);
  rmSync(file);
  bytes[5] = (bytes[5] ?? 0) ^ 1;
  writeFileSync(file, bytes);
  expect((await failureOf(push(vault))).code).toBe("OBJECT_CONFLICT");
  expect(storedArchive(folder.path).equals(bytes)).toBe(true);
});

test("a manifest.json that was lost from the vault is sent again, and nothing else is", async () => {
  const real = vaultOf(folder.path);
  const first = await push(real);
  rmSync(join(folder.path, "vault", KEYS.manifest));
  const put: string[] = [];
  const vault = withMethod(real, "put", (original) => (key, ...rest) => {
    if (key.endsWith(".json") && !key.startsWith(KEYS.signaturesPrefix)) put.push(key);
    return original(key, ...rest);
  });
  const counted = counting(archive);
  const again = await push(vault, { archive: counted });
  expect(again).toMatchObject({ alreadyStored: true, stored: first.stored });
  expect(put).toEqual([KEYS.manifest]);
  expect(counted.count()).toBe(0);
  expect(vaultFiles(folder.path)).toEqual(STORED_FILES);
});

test("a manifest.json that was changed in the vault is not called stored", async () => {
  const real = vaultOf(folder.path);
  await push(real);
  const file = join(folder.path, "vault", KEYS.manifest);
  const bytes = readFileSync(file);
  bytes[3] = (bytes[3] ?? 0) ^ 1;
  writeFileSync(file, bytes);
  expect(await failureOf(push(real))).toMatchObject({ code: "OBJECT_CONFLICT", subject: KEYS.manifest });
  expect(readFileSync(file).equals(bytes)).toBe(true);
});

test("of two devices that send a lost archive again, the one that comes second ends well", async () => {
  const real = vaultOf(folder.path);
  await push(real);
  rmSync(join(folder.path, "vault", KEYS.archive));
  const other = openLedger(folder.path, "other.db");
  let overtaken = false;
  const vault = withMethod(real, "putPart", (putPart) => async (upload, part, options) => {
    if (part.number === 3 && !overtaken) {
      overtaken = true;
      await push(real, { db: other, actor: "bob" });
    }
    return await putPart(upload, part, options);
  });
  const pushed = await push(vault);
  other.close();
  expect(pushed).toMatchObject({ alreadyStored: true, stored: { actor: "bob" } });
  expect(storedArchive(folder.path).equals(archiveBytes())).toBe(true);
});

test("what comes back with other bytes at every reading is not called damaged: nothing is taken away, and the next run goes on", async () => {
  const real = vaultOf(folder.path);
  let readings = 0;
  const vault = withMethod(real, "readRange", (readRange) => (object, offset, size, consume, signal) => {
    const garble = async (at: number, bytes: Uint8Array) => {
      const garbled = Buffer.from(bytes);
      if (at === 0) garbled.writeUInt32LE(++readings);
      await consume(at, garbled);
    };
    return readRange(object, offset, size, object.key === KEYS.archive ? garble : consume, signal);
  });
  const failure = await failureOf(push(vault));
  expect(failure.code).toBe("VAULT_UNREACHABLE");
  expect(failure.message).toMatch(/Part \d of .*site-a\.tar was read 4 times/);
  expect(storedArchive(folder.path).equals(archiveBytes())).toBe(true);
  const { vault: sound, sent } = watched(real);
  expect((await push(sound)).method).toBe("read back");
  expect(sent).toEqual([]);
  expect(vaultFiles(folder.path)).toEqual(STORED_FILES);
});
