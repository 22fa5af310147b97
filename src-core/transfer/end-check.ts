import type { CancelSignal } from "../../src-contract/progress.ts";
import { fail } from "../failing.ts";
import type { EndCheckMethod, ExpectedBytes, ObjectInfo, Vault } from "../ports.ts";
import { digestStored } from "../vault/pump-range.ts";
import { confirmedDigest } from "./confirmed-digest.ts";
import type { LaneCount } from "./lane-count.ts";
import { inLanes, type PartRange, partRanges } from "./part-lanes.ts";
import type { ByteMeter } from "./progress-meter.ts";
import { type RetryPolicy, retrying } from "./retry.ts";
import type { SendContext, SentObject } from "./send-object.ts";

/** Part size and SHA-256 hex of each part. */
export type SealedParts = Pick<ExpectedBytes, "partSize" | "digests">;

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
 * Throws OBJECT_CHANGED when it is replaced while it is read, and VAULT_UNREACHABLE when a part comes with other bytes at every reading.
 */
export async function damagedParts(
  { vault, lanes, retry, signal, meter }: ReadBack,
  object: ObjectInfo,
  { partSize, digests }: SealedParts,
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
      const actual = await confirmedDigest(read, expected, `Part ${part.number} of ${object.key}`);
      if (actual === expected) return;
      meter.add(part.size);
      damaged.push({ ...part, expected, actual });
    },
  );
  meter.end();
  return damaged.sort((one, other) => one.number - other.number);
}

export interface CheckedObject {
  /** The object whose bytes are right. */
  readonly info: ObjectInfo;
  readonly method: EndCheckMethod;
}

/**
 * Holds a stored object against the seal, by what the store says of it where that proves its bytes, else by reading them back. What this transfer
 * stored and is not right is taken away again, so that the next run can store it (DIGEST_MISMATCH); not once the package's seal is there, by whomever:
 * then nothing of it is ours to take away (OBJECT_CONFLICT).
 */
export async function checkSent(
  context: SendContext & Pick<ReadBack, "meter">,
  sent: SentObject,
  expected: SealedParts,
  isSealed: () => Promise<boolean>,
): Promise<CheckedObject> {
  const { vault, lease } = context;
  const { key, size } = sent.info;
  const stored = await vault.head(key);
  if (stored === null || stored.size !== size) {
    throw fail(
      "OBJECT_CHANGED",
      `${key} was changed or removed in the vault right after it was stored.`,
      "Find out who changes the vault, then run the same command again.",
      { subject: key },
    );
  }
  const attested = vault.attest(stored, { ...expected, tags: sent.tags });
  if (attested?.matches === true) return { info: stored, method: attested.method };
  const [damaged] = await damagedParts(context, stored, expected);
  if (damaged === undefined) return { info: stored, method: "read back" };
  const details = { key, part: damaged.number, expected: damaged.expected, actual: damaged.actual };
  if (!sent.ours || (await isSealed())) {
    throw fail(
      "OBJECT_CONFLICT",
      `Part ${damaged.number} of ${key} in the vault is not the sealed one. The package is not stored there as it was sealed.`,
      "Nothing stored is ever rewritten: find out who or what changed it. Once it is removed from the vault by other means, push the package again.",
      { subject: key, details },
    );
  }
  await vault.delete(key);
  lease.dropUpload(key);
  throw fail(
    "DIGEST_MISMATCH",
    `Part ${damaged.number} of ${key} reads back from the vault with other bytes than were sent. It was removed; the package is not stored.`,
    "Check the vault's disk, then run the same command again: it is sent anew.",
    { subject: key, details },
  );
}
