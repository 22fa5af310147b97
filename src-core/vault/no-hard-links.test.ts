import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { createFolderVault } from "./folder-vault.ts";
import { failureOf, memorySource, scratch } from "./vault-fixtures.ts";

/** Answers as FAT, exFAT and many shares do; a kernel that can mount one is not everywhere. */
vi.mock("node:fs/promises", async (original) => ({
  ...(await original<typeof import("node:fs/promises")>()),
  link: async () => {
    throw Object.assign(new Error("EPERM"), { code: "EPERM" });
  },
}));

test("without hard links a vault still never rewrites, leaves nothing behind, and its health says what it lacks", async () => {
  using folder = scratch();
  const vault = createFolderVault(folder.path);
  await vault.put("a", Buffer.from("one"));
  await vault.put("a", Buffer.from("one"));
  expect((await failureOf(vault.put("a", Buffer.from("two")))).code).toBe("OBJECT_CONFLICT");
  const bytes = Buffer.from("archive");
  const sent = async (key: string) => {
    const upload = await vault.beginUpload(key, bytes.length, 512);
    const part = { number: 1, source: memorySource(bytes), offset: 0, size: bytes.length, sha256: null };
    return { upload, parts: [await vault.putPart(upload, part)] };
  };
  const taken = await sent("a");
  expect((await failureOf(vault.completeUpload(taken.upload, taken.parts))).code).toBe("OBJECT_CONFLICT");
  await vault.abortUpload(taken.upload);
  const free = await sent("b");
  expect((await vault.completeUpload(free.upload, free.parts)).size).toBe(bytes.length);
  expect(readFileSync(join(folder.path, "a"), "utf8")).toBe("one");
  expect(readdirSync(folder.path)).toEqual(["a", "b"]);
  const health = await vault.health();
  expect(health.fit).toBe(true);
  expect(health.probes.find(({ name }) => name === "create only")?.result).toBe("limited");
});
