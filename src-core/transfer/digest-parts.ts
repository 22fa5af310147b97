import { readFile, stat } from "node:fs/promises";
import type { CancelSignal } from "../../src-contract/progress.ts";
import { asFailure, fail } from "../failing.ts";
import type { RangeSource } from "../ports.ts";
import { digestRange } from "../vault/pump-range.ts";
import { startDigest } from "../vault/running-digest.ts";
import { partRanges } from "./part-lanes.ts";

interface DigestPartsOptions {
  readonly signal?: CancelSignal | undefined;
  readonly onBytes?: (bytes: number) => void;
}

/** SHA-256 hex of the whole and of each part, in one read. */
export async function digestParts(
  source: RangeSource,
  partSize: number,
  { signal, onBytes }: DigestPartsOptions = {},
): Promise<{ readonly whole: string; readonly parts: readonly string[] }> {
  const whole = startDigest(source.size);
  try {
    const parts: string[] = [];
    for (const { offset, size } of partRanges(source.size, partSize)) {
      parts.push(
        await digestRange(size, (at, bytes) => source.read(offset + at, bytes, signal), {
          signal,
          also: async (_at, bytes) => {
            await whole.update(bytes);
            onBytes?.(bytes.length);
          },
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
