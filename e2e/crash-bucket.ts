import { expect } from "vitest";
import { ENGAGEMENT } from "./crash-scenario.ts";
import type { CrashVault } from "./crash-vault.ts";
import { StoreBucket, type StoredVersion, sha256Of } from "./store-bucket.ts";

/** A vault in a bucket of its own, which the program reaches through a proxy. */
export async function bucketCrashVault(options: { readonly versioning: boolean }): Promise<CrashVault> {
  const bucket = await StoreBucket.open(options);
  const { proxy } = bucket;
  const kept = new Set<string>();
  const digests = new Map<string, string>();
  const prefixOf = (packageId: string) => `engagements/${ENGAGEMENT}/packages/${packageId}/`;

  async function digestOf(version: StoredVersion): Promise<string> {
    const found = digests.get(version.name);
    if (found !== undefined) return found;
    const sha256 = sha256Of(await bucket.bytes(version));
    digests.set(version.name, sha256);
    return sha256;
  }

  return {
    proxy,
    engage: (desk) => bucket.engage(desk, ENGAGEMENT),
    async stored(packageId) {
      const prefix = prefixOf(packageId);
      const found = new Map<string, string>();
      for (const version of await bucket.versions(prefix)) {
        const path = version.key.slice(prefix.length);
        expect(found.has(path), `${path} was written more than once`).toBe(false);
        found.set(path, await digestOf(version));
      }
      return found;
    },
    read: (packageId, path) => bucket.bytes({ key: `${prefixOf(packageId)}${path}` }),
    async keep() {
      for (const { name } of await bucket.versions()) kept.add(name);
    },
    async restore() {
      await bucket.store.abortUploads(bucket.name);
      for (const version of await bucket.versions())
        if (!kept.has(version.name)) await bucket.remove(version);
      digests.clear();
    },
    async assertStored() {
      expect(await bucket.uploads(), "uploads that nobody will complete").toEqual([]);
    },
    close: () => proxy.close(),
  };
}
