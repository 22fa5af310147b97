import { constants } from "node:fs";
import { rename } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { syncFolder, temporaryBeside } from "../durable-files.ts";
import { systemCode } from "../failing.ts";
import type { Metadata } from "../ports.ts";
import { READ, removeIfThere, withFile } from "./folder-files.ts";

/**
 * A folder keeps one fact beside an object: its SHA-256, in `.NAME.sha256` as `sha256sum` writes it, so that `sha256sum -c .NAME.sha256` checks it.
 * A name with a dot in front is no object. The object comes first and this after it: whoever gave the key its bytes tells their digest.
 */
function digestFile(target: string): string {
  return join(dirname(target), `.${basename(target)}.sha256`);
}

/** Between the digest and the name two spaces or, for binary mode, a space and `*` (coreutils, "sha256sum"). */
const LINE = /^([0-9a-f]{64}) [ *]/i;
const DIGITS = 66;
const NONE = new Set(["ENOENT", "EISDIR", "ELOOP", "ENXIO"]);

/** What is kept of an object; empty when nothing is, or nothing of that form. */
export async function readMetadata(target: string): Promise<Metadata> {
  const digest = await readDigest(target);
  return digest === null ? {} : { sha256: digest };
}

async function readDigest(target: string): Promise<string | null> {
  try {
    return await withFile(digestFile(target), READ | (constants.O_NONBLOCK ?? 0), async (handle) => {
      if (!(await handle.stat()).isFile()) return null;
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(DIGITS), 0, DIGITS, 0);
      return LINE.exec(buffer.toString("latin1", 0, bytesRead))?.[1]?.toLowerCase() ?? null;
    });
  } catch (error) {
    if (NONE.has(systemCode(error) ?? "")) return null;
    throw error;
  }
}

/** Keeps what is told of an object that is there; durable when it returns. Throws for what a folder does not keep. */
export async function writeMetadata(target: string, metadata: Metadata | undefined): Promise<void> {
  if (metadata === undefined) return;
  const { sha256, ...others } = metadata;
  if (sha256 === undefined || Object.keys(others).length > 0) {
    throw new Error(`a folder vault keeps sha256 of an object and nothing else: ${JSON.stringify(metadata)}`);
  }
  const file = digestFile(target);
  const temporary = temporaryBeside(file);
  try {
    await withFile(temporary, "wx", async (handle) => {
      await handle.writeFile(`${sha256}  ${basename(target)}\n`);
      await handle.sync();
    });
    await rename(temporary, file);
  } catch (error) {
    await removeIfThere(temporary);
    throw error;
  }
  await syncFolder(dirname(target));
}

/** As `writeMetadata`, unless a digest is kept already. */
export async function addMetadata(target: string, metadata: Metadata | undefined): Promise<void> {
  if ((await readMetadata(target)).sha256 === undefined) await writeMetadata(target, metadata);
}

/** Before the object itself is removed, so that it never speaks for another one. */
export async function removeMetadata(target: string): Promise<void> {
  await removeIfThere(digestFile(target));
}
