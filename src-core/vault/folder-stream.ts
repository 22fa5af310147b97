import { dirname } from "node:path";
import { publishFile, syncFolder } from "../durable-files.ts";
import { systemCode } from "../failing.ts";
import { writeFully } from "../full-io.ts";
import type { Vault } from "../ports.ts";
import { conflict } from "./conflict.ts";
import { infoOf, removeIfThere, storedInfo, withFile } from "./folder-files.ts";
import { addMetadata, writeMetadata } from "./folder-metadata.ts";
import type { FolderRoot } from "./folder-root.ts";
import { newUploadId, uploadPath } from "./folder-upload.ts";
import { counted, holds, once } from "./stream-bytes.ts";

/** A stream is written beside its place and gets its name when it is whole; what a killed process leaves is an upload like any other. */
export function folderStreams(root: FolderRoot, vault: Pick<Vault, "readRange">): Pick<Vault, "putStream"> {
  return {
    async putStream(key, stream, { signal, again = once } = {}) {
      const target = await root.makeParents(key);
      const temporary = uploadPath(target, newUploadId());
      const source = counted(stream, signal);
      try {
        await root.guard(temporary, async () => {
          await withFile(temporary, "wx", async (handle) => {
            let at = 0;
            for await (const bytes of source) {
              await root.guard(temporary, () => writeFully(handle, at, bytes));
              at += bytes.length;
            }
            await handle.sync();
          });
        });
        const told = { bytes: source.bytes(), sha256: source.sha256() };
        const done = { ...told, leftUndone: [] };
        return await root.guard(target, async () => {
          try {
            await publishFile(temporary, target);
          } catch (error) {
            if (systemCode(error) !== "EEXIST") throw error;
            const there = await infoOf(key, target);
            if (there === null || !(await holds(vault, there, told, { signal, again }))) throw conflict(key);
            await syncFolder(dirname(target));
            await addMetadata(target, { sha256: told.sha256 });
            return { ...done, info: there, already: true };
          }
          await writeMetadata(target, { sha256: told.sha256 });
          return { ...done, info: await storedInfo(key, target), already: false };
        });
      } finally {
        await removeIfThere(temporary);
      }
    },
  };
}
