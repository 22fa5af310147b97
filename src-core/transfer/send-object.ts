import type { CancelSignal } from "../../src-contract/progress.ts";
import { asFailure, fail, throwIfCancelled } from "../failing.ts";
import type { ObjectInfo, RangeSource, StoredPart, UploadRef, Vault } from "../ports.ts";
import { digestRange } from "../vault/pump-range.ts";
import type { TransferLease } from "./journal.ts";
import type { Pacing } from "./pacing.ts";
import { inLanes, type PartRange, partRanges } from "./part-lanes.ts";
import type { ByteMeter } from "./progress-meter.ts";
import { retrying, waitOut } from "./retry.ts";

/** A store that loses an upload so often in one run loses the next one, too: however patient the policy, a person has to look. */
const MOST_STARTS = 5;

/** What the steps of one push share. */
export interface SendContext extends Pacing {
  readonly vault: Vault;
  readonly lease: TransferLease;
  readonly signal: CancelSignal | undefined;
}

export interface ObjectToSend {
  readonly key: string;
  readonly source: RangeSource;
  readonly partSize: number;
  /** SHA-256 hex of each part. */
  readonly digests: readonly string[];
  /** Whether it is stored in the storage class that the vault asks for. */
  readonly evidence: boolean;
  readonly meter: ByteMeter;
  /** Told how many bytes are still to be sent, before the first of them is; throws when they do not fit. */
  readonly beforeSending: (bytes: number) => Promise<void>;
  readonly beforeCompleting: () => void;
  /** Told which part's bytes were refused, after all sending has stopped. What it throws is the failure; else the refusal is. */
  readonly onRefused: (part: PartRange) => Promise<void>;
}

export interface SentObject {
  readonly info: ObjectInfo;
  /** False when somebody else stored the object: then its bytes are not known to be right yet. */
  readonly ours: boolean;
  /** What the vault said of each part when it took it; null when this device did not send them all, or does not remember. */
  readonly tags: readonly string[] | null;
}

/**
 * Sends an object, in parts unless it is one, and goes on where an earlier run stopped. That the key is there at the end is all that is known then:
 * the end check (push-package.ts) holds its bytes against the seal.
 */
export async function sendObject(context: SendContext, object: ObjectToSend): Promise<SentObject> {
  const { vault, lease, retry, signal } = context;
  const { key, source } = object;
  const known = lease.uploads().find((upload) => upload.key === key);
  const there = await vault.head(key);
  if (there !== null) return sentBefore(context, ofSize(there, source.size), known);
  if (source.size <= object.partSize && known === undefined) return sendWhole(context, object);
  for (let tried = 1; ; tried++) {
    const meter = takeBackMeter(object.meter);
    try {
      return await sendInParts(context, { ...object, meter });
    } catch (error) {
      // The upload, or a part of it, is gone from the store (dropped by a rule of the bucket, or by somebody): what is not there is sent again.
      const { failure } = asFailure(error);
      if (failure.code !== "OBJECT_CHANGED" || tried >= Math.min(MOST_STARTS, retry.tries)) throw error;
      if ((await vault.head(key)) !== null) throw error;
      meter.takeBack();
      await waitOut(retry, signal, tried, failure);
      throwIfCancelled(signal);
    }
  }
}

/** A meter whose bytes can be taken back all at once. */
function takeBackMeter(meter: ByteMeter): ByteMeter & { takeBack(): void } {
  let added = 0;
  return {
    add(bytes) {
      added += bytes;
      meter.add(bytes);
    },
    end: () => meter.end(),
    takeBack: () => meter.add(-added),
  };
}

async function sendInParts(context: SendContext, object: ObjectToSend): Promise<SentObject> {
  const { vault, lease } = context;
  const { key, source } = object;
  const known = lease.uploads().find((upload) => upload.key === key);
  const resumed = known === undefined ? null : await reconcile(context, known, object);
  const done = new Set(resumed?.parts.map(({ number }) => number));
  const missing = partRanges(source.size, object.partSize).filter(({ number }) => !done.has(number));
  const toSend = missing.reduce((sum, { size }) => sum + size, 0);
  object.meter.add(source.size - toSend);
  await object.beforeSending(toSend);
  const { partSize, evidence } = object;
  const upload = resumed?.upload ?? (await vault.beginUpload(key, source.size, partSize, { evidence }));
  if (resumed === null) lease.addUpload(upload);
  await sendParts(context, object, upload, missing);
  object.beforeCompleting();
  const tags = lease.parts(key).map(({ tag }) => tag);
  try {
    return { info: await complete(context, upload), ours: true, tags };
  } catch (error) {
    if (asFailure(error).failure.code !== "OBJECT_CONFLICT") throw error;
    await vault.abortUpload(upload);
    lease.dropUpload(key);
    const winner = await vault.head(key);
    if (winner === null) throw error;
    return { info: ofSize(winner, source.size), ours: false, tags: null };
  }
}

/** An object that an earlier run of this transfer has stored, if all of its parts were sent, or somebody else. */
function sentBefore({ lease }: SendContext, info: ObjectInfo, upload: UploadRef | undefined): SentObject {
  const parts = upload === undefined ? [] : lease.parts(info.key);
  const whole = upload !== undefined && parts.length === Math.ceil(upload.size / upload.partSize);
  return { info, ours: whole, tags: whole ? parts.map(({ tag }) => tag) : null };
}

/** One part is one object in one request: the store takes it only if its bytes have the digest. */
async function sendWhole({ vault, signal }: SendContext, object: ObjectToSend): Promise<SentObject> {
  const { key, source, digests, evidence, meter } = object;
  await object.beforeSending(source.size);
  const bytes = new Uint8Array(source.size);
  if (source.size > 0) await source.read(0, bytes, signal);
  object.beforeCompleting();
  const sha256 = digests[0];
  try {
    const digest = sha256 === undefined ? {} : { sha256 };
    const info = await vault.put(key, bytes, { signal, evidence, ...digest });
    meter.add(bytes.length);
    meter.end();
    return { info, ours: true, tags: [info.version] };
  } catch (error) {
    if (asFailure(error).failure.code === "DIGEST_MISMATCH")
      await object.onRefused({ number: 1, offset: 0, size: source.size });
    throw error;
  }
}

/**
 * What to throw for a failure of the vault. Bytes that it refused although they are the sealed ones here were damaged on their way: they are sent
 * again, as after a lost connection.
 */
async function ofRefusal(
  error: unknown,
  { number, offset, size }: PartRange,
  source: RangeSource,
  sha256: string | undefined,
): Promise<unknown> {
  if (asFailure(error).failure.code !== "DIGEST_MISMATCH") return error;
  const here = await digestRange(size, (at, bytes) => source.read(offset + at, bytes));
  if (here !== sha256) return error;
  return fail(
    "VAULT_UNREACHABLE",
    `Part ${number} was sent as it was sealed and arrived damaged at the vault, which refused it.`,
    "Check the network and what lies between this device and the vault, then run the same command again.",
    { cause: error, details: { part: number, reason: "damaged on the way" } },
  );
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
      const failure = await lanes.holding(() => ofRefusal(error, part, source, digests[part.number - 1]));
      if (asFailure(failure).failure.code === "DIGEST_MISMATCH") refused ??= part;
      throw failure;
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
