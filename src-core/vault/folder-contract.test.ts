import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createFolderVault } from "./folder-vault.ts";
import { describeVault } from "./vault-contract-fixtures.ts";
import { scratch } from "./vault-fixtures.ts";

describeVault("a vault in a folder", 64 * 1024, async () => {
  const folder = scratch();
  return {
    vault: createFolderVault(folder.path),
    again: () => createFolderVault(folder.path),
    replace: async (key, bytes) => writeFileSync(join(folder.path, key), bytes),
    [Symbol.asyncDispose]: async () => folder[Symbol.dispose](),
  };
});
