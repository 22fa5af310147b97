import type { CancelSignal } from "../../src-contract/progress.ts";
import { asFailure, fail } from "../failing.ts";
import type { ObjectInfo, RangeSource, StoredPart, UploadRef, Vault } from "../ports.ts";
import type { TransferLease } from "./journal.ts";
import { inLanes, type PartRange, partRanges } from "./part-lanes.ts";
import type { ByteMeter } from "./progress-meter.ts";
import { type RetryPolicy, retrying } from "./retry.ts";

/** What the steps of one push share. */
export interface SendContext {
  readonly vault: Vault;
  readonly lease: TransferLease;
  /** Parts that are under way at once. */
  readonly lanes: number;
  readonly retry: RetryPolicy;
  readonly signal: CancelSignal | undefined;
}

export interface ObjectToSend {
  readonly key: string;
  readonly source: RangeSource;
  readonly partSize: number;
  /** SHA-256 hex of each part. */
  readonly digests: readonly string[];
  readonly meter: ByteMeter;
  /** Told how many bytes are still to be sent, before the first of them is; throws when they do not fit. */
  readonly beforeSending: (bytes: number) => Promise<void>;
  readonly beforeCompleting: () => void;
  /** Told which part's bytes were refused, after all sending has stopped. What it throws is the failure; else the refusal is. */
  readonly onRefused: (part: PartRange) => Promise<void>;
}

/** `ours` is false when somebody else stored the object: then its bytes are not known to be right yet. */
export interface SentObject {
  readonly info: ObjectInfo;
  readonly ours: boolean;
}

/** Sends an object in parts and goes on where an earlier run stopped. Its bytes in the vault are not read back here. */
export async function sendObject(context: SendContext, object: ObjectToSend): Promise<SentObject> {
  const { vault, lease, retry, signal } = context;
  const { key, source } = object;
  const again = <T>(work: () => Promise<T>) => retrying(retry, signal, work);
  const known = lease.uploads().find((upload) => upload.key === key);
  const there = await again(() => vault.head(key));
  if (there !== null) return { info: ofSize(there, source.size), ours: known !== undefined };

  const resumed = known === undefined ? null : await again(() => reconcile(context, known, object));
  const done = new Set(resumed?.parts.map(({ number }) => number));
  const missing = partRanges(source.size, object.partSize).filter(({ number }) => !done.has(number));
  const toSend = missing.reduce((sum, { size }) => sum + size, 0);
  object.meter.add(source.size - toSend);
  await object.beforeSending(toSend);
  const upload = resumed?.upload ?? (await again(() => vault.beginUpload(key, source.size, object.partSize)));
  if (resumed === null) lease.addUpload(upload);
  await sendParts(context, object, upload, missing);
  object.beforeCompleting();
  try {
    return { info: await again(() => complete(context, upload)), ours: true };
  } catch (error) {
    if (asFailure(error).failure.code !== "OBJECT_CONFLICT") throw error;
    await again(() => vault.abortUpload(upload));
    lease.dropUpload(key);
    const winner = await again(() => vault.head(key));
    if (winner === null) throw error;
    return { info: ofSize(winner, source.size), ours: false };
  }
}

function ofSize(info: ObjectInfo, size: number): ObjectInfo {
  if (info.size === size) return info;
  throw fail(
    "OBJECT_CONFLICT",
    `${info.key} is in the vault with ${info.size} bytes; the sealed one has ${size}.`,
    "Nothing stored is ever rewritten: find out who stored it.",
    { subject: info.key, details: { stored: info.size, sealed: size } },
  );
}

/** The answer to a completion can be lost: when the upload is gone and the object is there, it was completed; the end check reads it anyway. */
async function complete({ vault, lease }: SendContext, upload: UploadRef): Promise<ObjectInfo> {
  try {
    return await vault.completeUpload(upload, lease.parts(upload.key));
  } catch (error) {
    if (asFailure(error).failure.code !== "OBJECT_CHANGED") throw error;
    const info = await vault.head(upload.key);
    if (info === null) throw error;
    return ofSize(info, upload.size);
  }
}

/**
 * What of an upload can be kept: the parts that journal and store both know with the same size and tag. Everything else is forgotten and sent
 * again. Null when the store does not know the upload, or it has another part plan.
 */
async function reconcile(
  { vault, lease }: SendContext,
  upload: UploadRef,
  object: ObjectToSend,
): Promise<{ readonly upload: UploadRef; readonly parts: readonly StoredPart[] } | null> {
  if (upload.size !== object.source.size || upload.partSize !== object.partSize) {
    await vault.abortUpload(upload);
    lease.dropUpload(upload.key);
    return null;
  }
  try {
    const stored = new Map((await vault.listParts(upload)).map((part) => [part.number, part]));
    const parts = lease.parts(upload.key).filter(({ number, size, tag }) => {
      const found = stored.get(number);
      return found?.size === size && found.tag === tag;
    });
    lease.keepParts(upload.key, parts);
    return { upload, parts };
  } catch (error) {
    if (asFailure(error).failure.code !== "OBJECT_CHANGED") throw error;
    lease.dropUpload(upload.key);
    return null;
  }
}

async function sendParts(
  { vault, lease, lanes, retry, signal }: SendContext,
  { key, source, digests, meter, onRefused }: ObjectToSend,
  upload: UploadRef,
  missing: readonly PartRange[],
): Promise<void> {
  let refused: PartRange | null = null;
  const send = async (part: PartRange, stop: CancelSignal): Promise<StoredPart> => {
    let bytes = 0;
    try {
      return await vault.putPart(
        upload,
        { ...part, source, sha256: digests[part.number - 1] ?? null },
        {
          signal: stop,
          onBytes: (count) => {
            bytes += count;
            meter.add(count);
          },
        },
      );
    } catch (error) {
      meter.add(-bytes);
      if (asFailure(error).failure.code === "DIGEST_MISMATCH") refused ??= part;
      throw error;
    }
  };
  try {
    await inLanes(missing, lanes, signal, async (part, stop) => {
      lease.addPart(key, await retrying(retry, stop, () => send(part, stop)));
    });
    meter.end();
  } catch (error) {
    if (refused !== null) await onRefused(refused);
    throw error;
  }
}
