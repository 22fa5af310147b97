import { expect, test } from "vitest";
import type { Core } from "../core.ts";
import { removeSecret, writeSecret } from "../credentials/chunked-secret.ts";
import type { SecretStore } from "../credentials/secret-store.ts";
import { VaultCredentials } from "../credentials/vault-credentials.ts";
import { fail } from "../failing.ts";
import { givenCredentials } from "./given-credentials.ts";
import { failureOf } from "./vault-fixtures.ts";

/** So long that it is kept in several entries. */
const FIELDS = {
  pathStyle: undefined,
  accessKeyId: "AKID",
  secretAccessKey: "secret",
  sessionToken: "t".repeat(7000),
};

/** A keychain that fails at its n-th change, and from then on unless it comes back. */
function dyingKeychain(failAt: number, comesBack: boolean) {
  const held = new Map<string, Uint8Array>();
  let changes = 0;
  let dead = false;
  const change = (work: () => void) => {
    changes++;
    if (changes === failAt || (dead && !comesBack)) {
      dead = true;
      throw fail("KEYCHAIN_UNAVAILABLE", "The system's keychain was locked.", "Unlock it.");
    }
    work();
  };
  const entries = {
    read: async (name: string) => held.get(name) ?? null,
    write: async (name: string, bytes: Uint8Array) => change(() => held.set(name, Uint8Array.from(bytes))),
    remove: async (name: string) => change(() => held.delete(name)),
  };
  const keychain: SecretStore = {
    get: async () => null,
    set: (account, secret) => writeSecret(entries, account, secret),
    delete: (account) => removeSecret(entries, account),
  };
  const core = { credentials: new VaultCredentials({ keychain, env: {} }), newId: () => "id" };
  return { held, given: givenCredentials(core as unknown as Core, "lake", FIELDS) };
}

test.each([1, 2, 3, 4, 5])(
  "a keychain that fails at change %i of a long secret keeps nothing of it",
  async (failAt) => {
    const { held, given } = dyingKeychain(failAt, true);
    let worked = false;
    const failure = await failureOf(
      given.keeping(async () => {
        worked = true;
      }),
    );
    expect(failure).toMatchObject({
      code: "KEYCHAIN_UNAVAILABLE",
      message: "The system's keychain was locked.",
    });
    expect(worked).toBe(false);
    expect([...held.keys()]).toEqual([]);
  },
);

test("where even that fails, it is told under which name part of the secret may be", async () => {
  const { held, given } = dyingKeychain(3, false);
  const { code, message } = await failureOf(given.keeping(async () => undefined));
  expect(code).toBe("KEYCHAIN_UNAVAILABLE");
  expect(message).toContain("stays in it, as vault/lake/id");
  expect([...held.keys()].every((name) => name.startsWith("vault/lake/id"))).toBe(true);
});
