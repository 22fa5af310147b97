import { constants, open, readFile, stat } from "node:fs/promises";
import { asFailure, fail } from "../failing.ts";
import type { RangeSource } from "../ports.ts";
import { readFully } from "../vault/folder-files.ts";
import { digestRange } from "../vault/pump-range.ts";
import { startDigest } from "../vault/running-digest.ts";
import { partRanges } from "./part-lanes.ts";

/** Bytes of a local file; throws when fewer than at opening are there. */
export async function openFileSource(path: string): Promise<RangeSource> {
  const handle = await open(path, constants.O_RDONLY).catch((error: unknown) => {
    throw asFailure(error, path);
  });
  const { size } = await handle.stat();
  return {
    size,
    async read(offset, target) {
      const whole = await readFully(handle, offset, target).catch((error: unknown) => {
        throw asFailure(error, path);
      });
      if (!whole)
        throw fail(
          "SOURCE_CHANGED",
          `${path} became shorter while it was read.`,
          "Find out what changes it.",
          { subject: path },
        );
    },
    close: () => handle.close(),
  };
}

/** SHA-256 hex of the whole and of each part, in one read. */
export async function digestParts(
  source: RangeSource,
  partSize: number,
): Promise<{ readonly whole: string; readonly parts: readonly string[] }> {
  const whole = startDigest();
  try {
    const parts: string[] = [];
    for (const { offset, size } of partRanges(source.size, partSize)) {
      parts.push(
        await digestRange(size, (at, bytes) => source.read(offset + at, bytes), {
          also: (_at, bytes) => whole.update(bytes),
        }),
      );
    }
    return { whole: await whole.hex(), parts };
  } catch (error) {
    await whole.drop();
    throw error;
  }
}

/** A whole file, or INVALID_INPUT when it has more than `largest` bytes. */
export async function readSmallFile(path: string, largest: number): Promise<Uint8Array> {
  try {
    const { size } = await stat(path);
    if (size > largest) {
      throw fail(
        "INVALID_INPUT",
        `${path} has ${size} bytes; at most ${largest} are expected.`,
        "Check what this file is.",
        { subject: path },
      );
    }
    return await readFile(path);
  } catch (error) {
    throw asFailure(error, path);
  }
}
