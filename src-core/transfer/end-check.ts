import type { CancelSignal } from "../../src-contract/progress.ts";
import type { ExpectedBytes, ObjectInfo, Vault } from "../ports.ts";
import { digestStored } from "../vault/pump-range.ts";
import { confirmedDigest } from "./confirmed-digest.ts";
import type { LaneCount } from "./lane-count.ts";
import { inLanes, type PartRange, partRanges } from "./part-lanes.ts";
import type { ByteMeter } from "./progress-meter.ts";
import { type RetryPolicy, retrying } from "./retry.ts";

export interface ReadBack {
  readonly vault: Vault;
  readonly lanes: LaneCount;
  readonly retry: RetryPolicy;
  readonly signal: CancelSignal | undefined;
  readonly meter: ByteMeter;
}

export interface DamagedPart extends PartRange {
  readonly expected: string;
  readonly actual: string;
}

/**
 * Reads a stored object part by part, as far as there are digests, and answers with the parts whose SHA-256 is not the expected one, in order.
 * Throws OBJECT_CHANGED when it is replaced while it is read.
 */
export async function damagedParts(
  { vault, lanes, retry, signal, meter }: ReadBack,
  object: ObjectInfo,
  { partSize, digests }: Pick<ExpectedBytes, "partSize" | "digests">,
): Promise<readonly DamagedPart[]> {
  const damaged: DamagedPart[] = [];
  /** Bytes are counted as they come, since a part may have gigabytes; those of a read that is not believed are taken back. */
  const readPart = async (part: PartRange, expected: string, stop: CancelSignal): Promise<string> => {
    let landed = 0;
    let actual: string | null = null;
    try {
      actual = await digestStored(vault, object, part, {
        signal: stop,
        also: async (_at, bytes) => {
          landed += bytes.length;
          meter.add(bytes.length);
        },
      });
      return actual;
    } finally {
      if (actual !== expected) meter.add(-landed);
    }
  };
  await inLanes(
    partRanges(object.size, partSize).slice(0, digests.length),
    lanes,
    signal,
    async (part, stop) => {
      const expected = digests[part.number - 1] as string;
      const read = () => retrying(retry, stop, () => readPart(part, expected, stop));
      const actual = await confirmedDigest(read, expected);
      if (actual === expected) return;
      meter.add(part.size);
      damaged.push({ ...part, expected, actual });
    },
  );
  meter.end();
  return damaged.sort((one, other) => one.number - other.number);
}
