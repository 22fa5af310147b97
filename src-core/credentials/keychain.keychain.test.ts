import { execFile, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { FailureError } from "../failing.ts";
import { newKeychainSource } from "./credential-source.ts";
import { createKeychain } from "./keychain.ts";
import { TestKeychain, withoutKeychain } from "./keychain-fixtures.ts";
import { VaultCredentials } from "./vault-credentials.ts";

const ACCOUNT = "vault/acme/0001";
const CHILD = fileURLToPath(new URL("./keychain-child.ts", import.meta.url));

const SECRETS = {
  short: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
  "4 KiB": "session-token/".repeat(293).slice(0, 4096),
  "64 KiB": "longest-token/".repeat(4682).slice(0, 65_536),
  "non-ASCII": `x${"ä".repeat(3000)}${"漢".repeat(3000)}${"🔑".repeat(2000)}`,
  empty: "",
};

async function failureOf(work: Promise<unknown>) {
  const error: unknown = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof FailureError)) throw new Error(`should have been a Failure: ${String(error)}`);
  return error.failure;
}

const absent = await withoutKeychain();

describe.skipIf(absent)("an unlocked keychain", () => {
  let keychain: TestKeychain;
  beforeAll(async () => {
    keychain = await TestKeychain.start();
  });
  afterEach(async () => {
    await createKeychain({ env: keychain.env }).delete(ACCOUNT);
    expect(await keychain.entries()).toBe(0);
  });
  afterAll(() => keychain.stop());

  test("gives back secrets of every length as they were stored, each over the one before, and null for none", async () => {
    const secrets = createKeychain({ env: keychain.env });
    expect(await secrets.get(ACCOUNT)).toBeNull();
    for (const name of ["short", "64 KiB", "short", "non-ASCII", "4 KiB", "empty", "4 KiB"] as const) {
      await secrets.set(ACCOUNT, SECRETS[name]);
      expect(await secrets.get(ACCOUNT)).toBe(SECRETS[name]);
    }
    await secrets.set(ACCOUNT, SECRETS.short);
    expect(await keychain.entries()).toBe(1);
    await secrets.delete(ACCOUNT);
    await secrets.delete(ACCOUNT);
    expect(await secrets.get(ACCOUNT)).toBeNull();
  });

  test("still has a secret after a logout, on disk and encrypted", async () => {
    await createKeychain({ env: keychain.env }).set(ACCOUNT, SECRETS["4 KiB"]);
    await keychain.restart();
    expect(await createKeychain({ env: keychain.env }).get(ACCOUNT)).toBe(SECRETS["4 KiB"]);
    const bytes = keychain.bytesOnDisk();
    expect(bytes.length).toBeGreaterThan(4096);
    expect(bytes.includes(SECRETS["4 KiB"].slice(0, 14))).toBe(false);
  });

  test("keeps a vault's key and session token for another process", async () => {
    const source = newKeychainSource("acme", "ASIAEXAMPLE", () => "0001");
    const key = {
      accessKeyId: "ASIAEXAMPLE",
      secretAccessKey: SECRETS.short,
      sessionToken: SECRETS["4 KiB"],
    };
    await new VaultCredentials({ keychain: createKeychain({ env: keychain.env }), env: {} }).save(
      source,
      key,
    );
    const other = new VaultCredentials({ keychain: createKeychain({ env: keychain.env }), env: {} });
    expect({ ...(await other.provider("acme", source)()) }).toEqual(key);
  });

  test("a secret is in no process's arguments and in no environment while it is stored", async () => {
    let over = false;
    const stored = createKeychain({ env: keychain.env })
      .set(ACCOUNT, SECRETS["64 KiB"])
      .finally(() => {
        over = true;
      });
    const seen = new Set<string>();
    while (!over) {
      for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
        for (const file of ["cmdline", "environ"]) {
          try {
            seen.add(readFileSync(`/proc/${pid}/${file}`, "latin1"));
          } catch {
            // It ended, or is somebody else's.
          }
        }
      }
      await new Promise(setImmediate);
    }
    await stored;
    expect([...seen].some((text) => text.includes("keychain-process"))).toBe(true);
    expect([...seen].filter((text) => text.includes("longest-token/longest-token"))).toEqual([]);
  });

  test("two processes that store at the same moment: one secret is there whole, or it is said that none is", async () => {
    const [one, other] = ["1".repeat(8000), "2".repeat(9000)] as const;
    const secrets = createKeychain({ env: keychain.env });
    for (let round = 0; round < 5; round++) {
      await Promise.all(
        [secrets.set(ACCOUNT, one), secrets.set(ACCOUNT, other)].map((work) => work.catch(() => null)),
      );
      const found = await secrets.get(ACCOUNT).catch((error: FailureError) => error.failure.code);
      expect([one, other, "CREDENTIALS_MISSING"]).toContain(found);
      await secrets.set(ACCOUNT, SECRETS.short);
      expect(await secrets.get(ACCOUNT)).toBe(SECRETS.short);
    }
    // What was killed or overtaken between two writers may have left entries that nobody knows of; the last test's count is of this one only.
    await keychain.stop();
    keychain = await TestKeychain.start();
  });

  test.each([
    ["4 KiB by 6 KiB", SECRETS["4 KiB"], "6144"],
    ["4 KiB by a short one", SECRETS["4 KiB"], "40"],
    ["4 KiB by none", SECRETS["4 KiB"], "0"],
  ])(
    "kill -9 at every change while %s is replaced: the old or the new one is there whole",
    async (_name, old, length) => {
      const secrets = createKeychain({ env: keychain.env });
      const arguments_ = (killAt: number) => [
        "--disable-warning=ExperimentalWarning",
        CHILD,
        ACCOUNT,
        String(killAt),
        length,
      ];
      await secrets.set(ACCOUNT, old);
      const { stdout } = await promisify(execFile)(process.execPath, arguments_(0), { env: keychain.env });
      const changes = Number(stdout);
      expect(changes).toBeGreaterThan(2);
      const replacement = length === "0" ? null : "n".repeat(Number(length));
      for (let killAt = 1; killAt <= changes; killAt++) {
        await secrets.set(ACCOUNT, old);
        const child = spawn(process.execPath, arguments_(killAt), { env: keychain.env, stdio: "ignore" });
        const signal = await new Promise((resolve) => child.once("exit", (_code, by) => resolve(by)));
        expect(signal).toBe("SIGKILL");
        expect([old, replacement]).toContain(await secrets.get(ACCOUNT));
      }
      await secrets.set(ACCOUNT, SECRETS.short);
      expect(await keychain.entries()).toBe(1);
    },
    // Some twenty processes one after the other; only a deadline.
    240_000,
  );
});

describe.skipIf(absent)("a keychain that cannot be used", () => {
  const keychains: TestKeychain[] = [];
  async function started(...how: Parameters<typeof TestKeychain.start>): Promise<TestKeychain> {
    const keychain = await TestKeychain.start(...how);
    keychains.push(keychain);
    return keychain;
  }
  afterEach(async () => {
    for (const keychain of keychains.splice(0)) await keychain.stop();
  });

  test("that was locked says so; unlocked again, it has what it had", async () => {
    const keychain = await started();
    const secrets = () => createKeychain({ env: keychain.env });
    await secrets().set(ACCOUNT, SECRETS["4 KiB"]);
    await keychain.lock();
    for (const work of [
      () => secrets().get(ACCOUNT),
      () => secrets().set(ACCOUNT, SECRETS.short),
      () => secrets().delete(ACCOUNT),
    ]) {
      const failure = await failureOf(work());
      expect(failure.code).toBe("KEYCHAIN_UNAVAILABLE");
      expect(failure.message).toContain("it is locked");
      expect(failure.nextStep).toContain("Unlock");
      expect(failure.nextStep).toContain("--credentials env or --credentials profile:NAME");
      expect(JSON.stringify(failure)).not.toContain(SECRETS.short);
    }
    await keychain.restart("wrong password");
    expect((await failureOf(secrets().get(ACCOUNT))).message).toContain("it is locked");
    await keychain.restart();
    expect(await secrets().get(ACCOUNT)).toBe(SECRETS["4 KiB"]);
  });

  test("that was never set up says that it has no default keyring", async () => {
    const { env } = await started("no password");
    const failure = await failureOf(createKeychain({ env }).set(ACCOUNT, SECRETS.short));
    expect(failure.code).toBe("KEYCHAIN_UNAVAILABLE");
    expect(failure.message).toContain("no default keyring");
  });

  test("a desktop session without a Secret Service", async () => {
    const { env } = await started("none");
    const failure = await failureOf(createKeychain({ env }).get(ACCOUNT));
    expect(failure.code).toBe("KEYCHAIN_UNAVAILABLE");
    expect(failure.message).toContain("no Secret Service is there");
    expect(failure.nextStep).toContain("GNOME Keyring");
  });

  test("one that does not answer any more", async () => {
    const keychain = await started();
    keychain.freeze();
    const failure = await failureOf(createKeychain({ env: keychain.env }).get(ACCOUNT));
    keychain.thaw();
    expect(failure.code).toBe("KEYCHAIN_UNAVAILABLE");
    expect(failure.message).toContain("does not answer");
  });
});
