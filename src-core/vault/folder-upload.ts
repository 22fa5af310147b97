import { randomBytes } from "node:crypto";
import { lstat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { CancelSignal } from "../../src-contract/progress.ts";
import { publishFile, syncFolder } from "../durable-files.ts";
import { asFailure, type FailureError, fail, systemCode } from "../failing.ts";
import { readFully, writeFully } from "../full-io.ts";
import type { PartBody, StoredPart, UploadRef, Vault } from "../ports.ts";
import { READ, removeIfThere, storedInfo, WRITE, withFile } from "./folder-files.ts";
import { readMetadata, removeMetadata, writeMetadata } from "./folder-metadata.ts";
import type { FolderRoot } from "./folder-root.ts";
import { digestRange } from "./pump-range.ts";

const UPLOAD_ID = /^[0-9a-f]{32}$/;
const UPLOAD_NAME = /^\.(.+)\.([0-9a-f]{32})\.upload$/s;

export function newUploadId(): string {
  return randomBytes(16).toString("hex");
}

/** An upload is a dot-named file beside its target: never an object, on the same file system, found again by its name. */
export function uploadPath(target: string, uploadId: string): string {
  if (!UPLOAD_ID.test(uploadId)) {
    throw fail(
      "INVALID_INPUT",
      `${JSON.stringify(uploadId)} is not an upload of a folder vault.`,
      "Start the transfer again.",
    );
  }
  return join(dirname(target), `.${basename(target)}.${uploadId}.upload`);
}

/** The target's file name and the upload id of an upload's file name; null for any other name. */
export function parseUploadName(name: string): { readonly target: string; readonly uploadId: string } | null {
  const match = UPLOAD_NAME.exec(name);
  return match === null ? null : { target: match[1] as string, uploadId: match[2] as string };
}

/** What to throw for bytes that are not the sealed ones. */
export function refusedBytes(
  key: string,
  details: { readonly part?: number; readonly expected: string; readonly actual?: string },
): FailureError {
  const what = details.part === undefined ? key : `Part ${details.part} of ${key}`;
  return fail(
    "DIGEST_MISMATCH",
    `${what} differs from what was sealed; it was not stored.`,
    "Find out which source file changed.",
    { subject: key, details },
  );
}

type Uploads = Pick<Vault, "beginUpload" | "putPart" | "listParts" | "completeUpload" | "abortUpload">;

function unknownUpload(upload: UploadRef): Error {
  return fail(
    "OBJECT_CHANGED",
    `The vault knows the upload of ${upload.key} no more.`,
    "Run the same command again: it is sent anew.",
    { subject: upload.key },
  );
}

/** Bytes of a part, from 1 on. */
function partLength(upload: UploadRef, number: number): number {
  return Math.min(upload.partSize, upload.size - (number - 1) * upload.partSize);
}

/** Multi-part uploads into one sparse file each, written at the parts' offsets, so that completing is a rename whatever the size. */
export function folderUploads(root: FolderRoot): Uploads {
  async function fileOf(upload: Pick<UploadRef, "key" | "uploadId">): Promise<string> {
    return uploadPath(await root.pathOf(upload.key), upload.uploadId);
  }

  async function onUpload<T>(upload: UploadRef, file: string, work: () => Promise<T>): Promise<T> {
    return root.guard(file, async () => {
      try {
        return await work();
      } catch (error) {
        if (systemCode(error) !== "ENOENT") throw error;
        await root.assertReachable();
        throw unknownUpload(upload);
      }
    });
  }

  const putPart: Vault["putPart"] = async (upload, part, options = {}) => {
    if (part.size < 1 || part.size !== partLength(upload, part.number)) {
      throw fail(
        "INVALID_INPUT",
        `Part ${part.number} of ${upload.key} has a size that is not in its plan.`,
        "Report this as a fault of the program.",
        { subject: upload.key },
      );
    }
    const file = await fileOf(upload);
    const start = (part.number - 1) * upload.partSize;
    return onUpload(upload, file, () =>
      withFile(file, WRITE, async (handle) => {
        const sha256 = await digestRange(
          part.size,
          (at, bytes) => readSource(part, at, bytes, options.signal),
          {
            signal: options.signal,
            also: async (at, bytes) => {
              await options.pace?.(bytes.length);
              await root.guard(file, () => writeFully(handle, start + at, bytes));
              options.onBytes?.(bytes.length);
            },
          },
        );
        if (part.sha256 !== null && sha256 !== part.sha256) {
          throw refusedBytes(upload.key, { part: part.number, expected: part.sha256, actual: sha256 });
        }
        await handle.datasync();
        return { number: part.number, size: part.size, tag: sha256 };
      }),
    );
  };

  return {
    async beginUpload(key, size, partSize, options = {}) {
      const uploadId = newUploadId();
      const file = uploadPath(await root.makeParents(key), uploadId);
      await root.guard(file, async () => {
        await withFile(file, "wx", (handle) => handle.sync());
        await writeMetadata(file, options.metadata);
        await syncFolder(dirname(file));
      });
      return { key, uploadId, size, partSize };
    },

    putPart,

    /**
     * Reads every part again and answers with the digests of what is there. What is beyond the end of the file, and what reads as
     * zeros throughout (a hole that no part filled), is absent; a part that really is all zeros is so sent once more after a resume.
     */
    async listParts(upload) {
      const file = await fileOf(upload);
      return onUpload(upload, file, () =>
        withFile(file, READ, async (handle) => {
          const { size } = await handle.stat();
          const found: StoredPart[] = [];
          const count = Math.ceil(upload.size / upload.partSize);
          for (let number = 1; number <= count; number++) {
            const start = (number - 1) * upload.partSize;
            const length = partLength(upload, number);
            if (start + length > size) break;
            const tag = await digestUnlessZeros(length, async (at, bytes) => {
              if (!(await readFully(handle, start + at, bytes))) throw unknownUpload(upload);
            });
            if (tag !== null) found.push({ number, size: length, tag });
          }
          return found;
        }),
      );
    },

    async completeUpload(upload, parts) {
      const target = await root.pathOf(upload.key);
      const file = uploadPath(target, upload.uploadId);
      return onUpload(upload, file, async () => {
        const { size } = await lstat(file);
        if (size !== upload.size || parts.length !== Math.ceil(upload.size / upload.partSize)) {
          throw fail(
            "OBJECT_CHANGED",
            `The upload of ${upload.key} is not whole: ${size} of ${upload.size} bytes are there.`,
            "Run the same command again: what is missing is sent.",
            { subject: upload.key },
          );
        }
        await withFile(file, WRITE, (handle) => handle.sync());
        const { sha256 } = await readMetadata(file);
        await publish(upload, file, target);
        if (sha256 !== undefined) await writeMetadata(target, { sha256 });
        await removeMetadata(file);
        return storedInfo(upload.key, target);
      });
    },

    async abortUpload(upload) {
      const file = await fileOf(upload);
      await root.guard(file, async () => {
        await removeMetadata(file);
        await removeIfThere(file);
      });
    },
  };
}

/** A fault of the source must not be taken for one of the vault. */
async function readSource(
  part: PartBody,
  at: number,
  bytes: Uint8Array,
  signal?: CancelSignal,
): Promise<void> {
  try {
    await part.source.read(part.offset + at, bytes, signal);
  } catch (error) {
    throw asFailure(error);
  }
}

async function publish(upload: UploadRef, file: string, target: string): Promise<void> {
  try {
    await publishFile(file, target);
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
    if (await sameFile(file, target)) {
      // A process was killed between giving the file its final name and taking the old one away.
      await removeIfThere(file);
      await syncFolder(dirname(target));
      return;
    }
    throw fail(
      "OBJECT_CONFLICT",
      `Something else is already stored as ${upload.key}.`,
      "Nothing stored is ever rewritten; compare the two packages.",
      { subject: upload.key },
    );
  }
}

async function sameFile(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([lstat(one, { bigint: true }), lstat(other, { bigint: true })]);
  return a.ino === b.ino && a.dev === b.dev && a.nlink > 1n;
}

const ZEROS = Buffer.alloc(2 * 1024 * 1024);

async function digestUnlessZeros(
  size: number,
  read: (at: number, bytes: Uint8Array) => Promise<void>,
): Promise<string | null> {
  let zeros = true;
  const sha256 = await digestRange(size, read, {
    also: async (_at, bytes) => {
      zeros &&= ZEROS.subarray(0, bytes.length).equals(bytes);
    },
  });
  return zeros ? null : sha256;
}
