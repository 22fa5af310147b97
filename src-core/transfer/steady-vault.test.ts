import { expect, test } from "vitest";
import { fail } from "../failing.ts";
import type { ObjectInfo, Vault } from "../ports.ts";
import { createFolderVault } from "../vault/folder-vault.ts";
import { collect, failureOf, scratch } from "../vault/vault-fixtures.ts";
import { COMMAND_RETRY, type RetryPolicy } from "./retry.ts";
import { withRetry } from "./steady-vault.ts";

const policy = (tries: number): RetryPolicy => ({ ...COMMAND_RETRY, tries, sleep: async () => undefined });
const lost = () => fail("VAULT_UNREACHABLE", "The line is dead.", "Wait.");

test("a listing that breaks off begins anew and names every object once", async () => {
  using at = scratch();
  const vault = createFolderVault(at.path);
  for (const name of ["a", "b", "c", "d"]) await vault.put(name, Buffer.from(name));
  let listings = 0;
  async function* breaking(prefix: string): AsyncGenerator<ObjectInfo> {
    listings++;
    let left = listings;
    for await (const info of vault.list(prefix)) {
      if (left-- === 0) throw lost();
      yield info;
    }
  }
  const steady = withRetry({ ...vault, list: breaking }, policy(9));
  expect((await collect(steady.list(""))).map(({ key }) => key)).toEqual(["a", "b", "c", "d"]);
  expect(listings).toBe(4);
  listings = 0;
  const impatient = withRetry({ ...vault, list: breaking }, policy(1));
  expect((await failureOf(collect(impatient.list("")))).code).toBe("VAULT_UNREACHABLE");
});

test("a page that is always bad ends a listing, however many there are before it", async () => {
  using at = scratch();
  const vault = createFolderVault(at.path);
  for (const name of ["a", "b", "c"]) await vault.put(name, Buffer.from(name));
  let listings = 0;
  async function* bad(prefix: string): AsyncGenerator<ObjectInfo> {
    listings++;
    yield* vault.list(prefix);
    throw lost();
  }
  const steady = withRetry({ ...vault, list: bad }, policy(5));
  expect((await failureOf(collect(steady.list("")))).code).toBe("VAULT_UNREACHABLE");
  expect(listings).toBe(5);
});

test("a vault that gets another policy has only that one", async () => {
  using at = scratch();
  let tries = 0;
  const head: Vault["head"] = async () => {
    tries++;
    throw lost();
  };
  const vault = withRetry(withRetry({ ...createFolderVault(at.path), head }, policy(5)), policy(3));
  expect((await failureOf(vault.head("a"))).code).toBe("VAULT_UNREACHABLE");
  expect(tries).toBe(3);
});

test("what trying again does not mend is tried once", async () => {
  using at = scratch();
  const vault = withRetry(createFolderVault(at.path), policy(9));
  await vault.put("a", Buffer.from("one"));
  expect((await failureOf(vault.put("a", Buffer.from("other")))).code).toBe("OBJECT_CONFLICT");
});
