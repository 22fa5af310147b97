import { expect, test } from "vitest";
import { createFolderVault } from "./folder-vault.ts";
import { collect, scratch } from "./vault-fixtures.ts";
import { listStoredPackages, packageKeys } from "./vault-keys.ts";

const ONE = "01938c7e-7b3a-7000-8000-000000000001";
const TWO = "01938c7e-7b3a-7000-8000-000000000002";

test("the layout of a package is the documented one, and hostile parts are refused", () => {
  expect(packageKeys("acme-2026", ONE, "site-a")).toEqual({
    prefix: `engagements/acme-2026/packages/${ONE}/`,
    archive: `engagements/acme-2026/packages/${ONE}/site-a.tar`,
    manifest: `engagements/acme-2026/packages/${ONE}/manifest.json`,
    seal: `engagements/acme-2026/packages/${ONE}/seal.json`,
    signaturesPrefix: `engagements/acme-2026/packages/${ONE}/signatures/`,
    storedPrefix: `engagements/acme-2026/packages/${ONE}/stored/`,
  });
  expect(() => packageKeys("../x", ONE, "a")).toThrow();
  expect(() => packageKeys("acme", "..", "a")).toThrow();
  expect(() => packageKeys("acme", ONE, "../a")).toThrow();
});

test("a package counts as stored only when its seal is there", async () => {
  using folder = scratch();
  const vault = createFolderVault(folder.path);
  const [one, two] = [packageKeys("acme", ONE, "a"), packageKeys("acme", TWO, "b")];
  await vault.put(one.archive, Buffer.from("bytes"));
  await vault.put(`${one.signaturesPrefix}seal.json`, Buffer.from("not a seal"));
  await vault.put(two.archive, Buffer.from("bytes"));
  await vault.put(two.seal, Buffer.from("{}"));
  await vault.put(packageKeys("other", ONE, "a").seal, Buffer.from("{}"));
  expect((await collect(listStoredPackages(vault, "acme"))).map(({ packageId }) => packageId)).toEqual([TWO]);
});
