import { createHash } from "node:crypto";
import { lstat, unlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { publishFile, syncFolder } from "../durable-files.ts";
import { fail, systemCode, throwIfCancelled } from "../failing.ts";
import { readFully } from "../full-io.ts";
import type { ObjectInfo, Vault } from "../ports.ts";
import { conflict } from "./conflict.ts";
import { infoOf, infoOfOpen, READ, removeIfThere, storedInfo, withFile } from "./folder-files.ts";
import { assertFits, probeFolder } from "./folder-health.ts";
import { listFiles } from "./folder-listing.ts";
import { addMetadata, readMetadata, removeMetadata, writeMetadata } from "./folder-metadata.ts";
import { folderRoot, isKeySegment } from "./folder-root.ts";
import { folderStreams } from "./folder-stream.ts";
import { folderUploads, newUploadId, parseUploadName, refusedBytes, uploadPath } from "./folder-upload.ts";
import { pumpRange } from "./pump-range.ts";

/**
 * A vault in a folder that exists (a disk, a stick, a share); it is not made here, so that a disk that is not mounted is never taken for an empty vault.
 * Objects are files under their key. Several processes may use it at once: an object gets its name only when it is whole and synced,
 * and only if the name is free. Reading back sees what the operating system gives, which may come from its cache.
 */
export function createFolderVault(path: string): Vault {
  const root = folderRoot(resolve(path));

  async function holdsBytes(file: string, bytes: Uint8Array): Promise<boolean> {
    return withFile(file, READ, async (handle) => {
      if ((await handle.stat()).size !== bytes.length) return false;
      const held = new Uint8Array(bytes.length);
      return (await readFully(handle, 0, held)) && Buffer.compare(held, bytes) === 0;
    });
  }

  async function head(key: string): Promise<ObjectInfo | null> {
    const file = await root.pathOf(key);
    return root.guard(file, async () => {
      const info = await infoOf(key, file);
      return info === null ? null : { ...info, metadata: await readMetadata(file) };
    });
  }

  const getRange: Vault["getRange"] = async (object, offset, target, signal) => {
    throwIfCancelled(signal);
    const file = await root.pathOf(object.key);
    const changed = () =>
      fail(
        "OBJECT_CHANGED",
        `${file} was replaced, changed or removed while it was read.`,
        "Find out who changes the vault, then try again.",
        { subject: file },
      );
    await root.guard(file, async () => {
      if ((await infoOf(object.key, file)) === null) {
        await root.assertReachable();
        throw changed();
      }
      await withFile(file, READ, async (handle) => {
        const same = async () => (await infoOfOpen(object.key, file, handle)).version === object.version;
        if (!(await same()) || !(await readFully(handle, offset, target)) || !(await same())) throw changed();
      });
    });
  };

  const readRange: Vault["readRange"] = (object, offset, size, consume, signal) =>
    pumpRange(size, (at, bytes) => getRange(object, offset + at, bytes, signal), consume, signal);

  return {
    kind: "folder",
    location: root.path,
    // Two keep a disk busy while the other part is hashed.
    lanes: { first: 2, most: 2 },
    ...folderUploads(root),
    head,

    async put(key, bytes, options = {}) {
      throwIfCancelled(options.signal);
      refuseOtherBytes(key, bytes, options.sha256);
      await options.pace?.(bytes.length);
      const target = await root.makeParents(key);
      return root.guard(target, async () => {
        const temporary = uploadPath(target, newUploadId());
        try {
          await withFile(temporary, "wx", async (handle) => {
            await handle.writeFile(bytes);
            await handle.sync();
          });
          await publishFile(temporary, target);
          await writeMetadata(target, options.metadata);
        } catch (error) {
          await removeIfThere(temporary);
          if (systemCode(error) !== "EEXIST") throw error;
          if ((await infoOf(key, target)) === null || !(await holdsBytes(target, bytes))) {
            throw conflict(key);
          }
          await syncFolder(dirname(target));
          // A process may have been killed between the two.
          await addMetadata(target, options.metadata);
        }
        return storedInfo(key, target);
      });
    },

    async tellDigest(key, sha256) {
      const target = await root.pathOf(key);
      await root.guard(target, () => addMetadata(target, { sha256 }));
    },

    getRange,
    readRange,
    ...folderStreams(root, { readRange }),

    // A file system keeps no digests.
    attest: () => null,

    requireRoom: async (size, toSend) => assertFits(await probeFolder(root), size, toSend),

    async *list(prefix) {
      for await (const { folder, name } of listFiles(root, prefix, isKeySegment)) {
        const key = folder + name;
        if (!key.startsWith(prefix)) continue;
        const file = await root.pathOf(key);
        const info = await root.guard(file, () => infoOf(key, file));
        if (info !== null) yield info;
      }
    },

    async *listUploads(prefix) {
      for await (const { folder, name } of listFiles(
        root,
        prefix,
        (found) => parseUploadName(found) !== null,
      )) {
        const upload = parseUploadName(name);
        const key = folder + (upload?.target ?? "");
        if (upload === null || !key.startsWith(prefix)) continue;
        const found = await statOf(join(root.path, folder, name));
        yield { key, uploadId: upload.uploadId, begun: null, ...found };
      }
    },

    async delete(key) {
      const file = await root.pathOf(key);
      await root.guard(file, async () => {
        if ((await infoOf(key, file)) === null) return;
        await removeMetadata(file);
        await unlink(file);
        await syncFolder(dirname(file));
      });
    },

    health: () => probeFolder(root),
  };
}

function refuseOtherBytes(key: string, bytes: Uint8Array, sha256: string | undefined): void {
  if (sha256 === undefined) return;
  const actual = createHash("sha256").update(bytes).digest("hex");
  if (actual !== sha256) throw refusedBytes(key, { expected: sha256, actual });
}

/** Of an upload's file, which has holes where parts are missing; null for one that was taken away meanwhile. */
async function statOf(file: string): Promise<{ readonly begun: number; readonly bytes: number } | null> {
  try {
    const { mtimeMs, blocks, size } = await lstat(file);
    // stat(2): blocks are of 512 bytes, whatever the file system's own.
    return { begun: Math.floor(mtimeMs), bytes: Math.min(blocks * 512, size) };
  } catch (error) {
    if (systemCode(error) === "ENOENT") return null;
    throw error;
  }
}
