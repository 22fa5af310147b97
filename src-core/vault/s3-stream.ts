import { randomUUID } from "node:crypto";
import type { Failure } from "../../src-contract/failure.ts";
import { asFailure, fail } from "../failing.ts";
import { systemClock } from "../identity.ts";
import type { ObjectInfo, StoredPart, StreamedObject, UploadRef, Vault } from "../ports.ts";
import { LaneCount } from "../transfer/lane-count.ts";
import { inLanes, partRanges } from "../transfer/part-lanes.ts";
import { conflict } from "./conflict.ts";
import type { S3Capabilities } from "./s3-capabilities.ts";
import type { StoreClient } from "./s3-client.ts";
import { bucketKey } from "./s3-keys.ts";
import { partCopier } from "./s3-part-copy.ts";
import { STREAM_PART, type StreamedParts, uploadStream } from "./s3-stream-upload.ts";
import { type Again, type CountedStream, counted, holds, once } from "./stream-bytes.ts";

type Needed = Pick<
  Vault,
  | "head"
  | "readRange"
  | "put"
  | "delete"
  | "list"
  | "listUploads"
  | "attest"
  | "beginUpload"
  | "completeUpload"
  | "abortUpload"
>;

/** The last segment of a stream's temporary key, beside the one that it is for. */
const INCOMING = ".incoming-";
/** A copy takes minutes; a stream may come for days. What is older than this belongs to nobody any more. */
const STALE_OBJECT_MS = 24 * 60 * 60 * 1000;
const STALE_UPLOAD_MS = 7 * STALE_OBJECT_MS;
/** Copies within the store move no bytes over the line. */
const COPIES_AT_ONCE = 8;

/**
 * Streams of unknown length. A digest that is known at the end only cannot be given to an upload that has begun: what has more than one part is sent
 * under a temporary key, copied within the store, part by part, to its own key with its digest, and removed there. So the object is the same as if
 * its bytes had come from a file, and is checked as one.
 */
export function s3Streams(client: StoreClient, can: S3Capabilities, vault: Needed): Pick<Vault, "putStream"> {
  return {
    async putStream(key, stream, options = {}) {
      const { signal, contentType, again = once } = options;
      const stop = new AbortController();
      const onAbort = () => stop.abort();
      signal?.addEventListener("abort", onAbort, { once: true });
      if (signal?.aborted) stop.abort();
      const source = counted(stream, stop.signal);
      try {
        const there = await again(() => vault.head(key, signal));
        if (there !== null) return await compared(vault, there, await drained(source), { signal, again });
        const pieces = source[Symbol.asyncIterator]();
        const first = await firstPart(pieces);
        const more = contentType === undefined ? {} : { contentType };
        if (first.ended) {
          const told = { bytes: source.bytes(), sha256: source.sha256() };
          const { sha256 } = told;
          const bytes = Buffer.concat(first.pieces);
          const info = await again(() =>
            vault.put(key, bytes, { signal, sha256, metadata: { sha256 }, evidence: true, ...more }),
          );
          return { ...told, info, already: false, leftUndone: [] };
        }
        const large = new LargeStream({ client, can, vault, again, stop, key, contentType });
        return await large.store(source, chained(first.pieces, pieces));
      } finally {
        signal?.removeEventListener("abort", onAbort);
      }
    },
  };
}

async function drained(source: CountedStream): Promise<{ readonly bytes: number; readonly sha256: string }> {
  for await (const _ of source);
  return { bytes: source.bytes(), sha256: source.sha256() };
}

/** Something was there before: the same bytes are a success. */
async function compared(
  vault: Needed,
  there: ObjectInfo,
  told: { readonly bytes: number; readonly sha256: string },
  how: Parameters<typeof holds>[3],
): Promise<StreamedObject> {
  if (!(await holds(vault, there, told, how))) throw conflict(there.key);
  return { ...told, info: there, already: true, leftUndone: [] };
}

/** What comes until it is more than one part, or the end. */
async function firstPart(
  pieces: AsyncIterator<Uint8Array>,
): Promise<{ readonly pieces: Uint8Array[]; readonly ended: boolean }> {
  const found: Uint8Array[] = [];
  for (let bytes = 0; bytes <= STREAM_PART; ) {
    const next = await pieces.next();
    if (next.done === true) return { pieces: found, ended: true };
    found.push(next.value);
    bytes += next.value.length;
  }
  return { pieces: found, ended: false };
}

async function* chained(first: Uint8Array[], rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  // Taken out one by one, so that none is kept in memory longer than it is needed.
  for (let piece = first.shift(); piece !== undefined; piece = first.shift()) yield piece;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
}

interface LargeOptions {
  readonly client: StoreClient;
  readonly can: S3Capabilities;
  readonly vault: Needed;
  readonly again: Again;
  readonly stop: AbortController;
  readonly key: string;
  readonly contentType: string | undefined;
}

/** A stream of more than one part. */
class LargeStream {
  readonly #options: LargeOptions;
  readonly #folder: string;
  readonly #temporary: string;
  readonly #leftUndone: Failure[] = [];

  constructor(options: LargeOptions) {
    this.#options = options;
    this.#folder = options.key.slice(0, options.key.lastIndexOf("/") + 1);
    this.#temporary = `${this.#folder}${INCOMING}${randomUUID()}`;
  }

  async store(source: CountedStream, stream: AsyncIterable<Uint8Array>): Promise<StreamedObject> {
    const { vault, again, stop } = this.#options;
    await this.#attempt(() => this.#clearStale());
    const sent = await uploadStream(this.#options, this.#temporary, stream);
    const told = { bytes: source.bytes(), sha256: source.sha256() };
    const temporary = await again(() => vault.head(this.#temporary, stop.signal));
    try {
      if (temporary?.size !== told.bytes) throw this.#lost();
      const stored = await this.#copy(temporary, told, sent);
      return { ...told, ...stored, leftUndone: this.#leftUndone };
    } finally {
      if (temporary !== null) await this.#attempt(() => this.#remove(temporary));
    }
  }

  async #attempt(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#leftUndone.push(asFailure(error).failure);
    }
  }

  /** What a killed process left in the same folder. */
  async #clearStale(): Promise<void> {
    const { vault } = this.#options;
    const now = systemClock.now();
    const prefix = `${this.#folder}${INCOMING}`;
    for await (const object of vault.list(prefix)) {
      if (object.modified !== undefined && now - object.modified > STALE_OBJECT_MS)
        await vault.delete(object.key);
    }
    for await (const upload of vault.listUploads(prefix)) {
      if (upload.begun !== null && now - upload.begun > STALE_UPLOAD_MS) await vault.abortUpload(upload);
    }
  }

  #lost(): Error {
    return fail(
      "OBJECT_CHANGED",
      `${this.#temporary} was changed or removed in the vault right after it was stored.`,
      "Find out who changes the vault, then run the same command again.",
      { subject: this.#options.key },
    );
  }

  async #copy(
    temporary: ObjectInfo,
    told: { readonly bytes: number; readonly sha256: string },
    sent: StreamedParts,
  ): Promise<Pick<StreamedObject, "info" | "already">> {
    const { vault, again, key, contentType, stop } = this.#options;
    const { signal } = stop;
    const metadata = { sha256: told.sha256 };
    const upload = await again(() =>
      vault.beginUpload(key, told.bytes, STREAM_PART, {
        signal,
        metadata,
        evidence: true,
        ...(contentType === undefined ? {} : { contentType }),
      }),
    );
    try {
      const parts = await this.#copyParts(temporary, upload, sent);
      await again(() => vault.completeUpload(upload, parts, signal));
      return { info: await this.#checked(told, parts, sent), already: false };
    } catch (error) {
      await this.#attempt(() => vault.abortUpload(upload));
      const { code } = asFailure(error).failure;
      if (code !== "OBJECT_CONFLICT" && code !== "OBJECT_CHANGED") throw error;
      const there = await again(() => vault.head(key, signal));
      if (there === null || !(await holds(vault, there, told, { signal, again }))) throw error;
      return { info: there, already: code === "OBJECT_CONFLICT" };
    }
  }

  async #copyParts(
    temporary: ObjectInfo,
    upload: UploadRef,
    sent: StreamedParts,
  ): Promise<readonly StoredPart[]> {
    const { again, stop } = this.#options;
    const copy = partCopier(this.#options, temporary, upload);
    const copied: StoredPart[] = [];
    const lanes = new LaneCount({ first: COPIES_AT_ONCE, most: COPIES_AT_ONCE }, systemClock);
    await inLanes(partRanges(upload.size, upload.partSize), lanes, stop.signal, async (part, signal) => {
      const { tag = "" } = sent.parts[part.number - 1] ?? {};
      copied.push(await again(() => copy(part, tag, signal)));
    });
    return copied;
  }

  /**
   * By what the store says of the object where that proves its bytes, else by reading them back. Other bytes are somebody else's, who was faster
   * where the store does not keep two apart: they stay.
   */
  async #checked(
    told: { readonly bytes: number; readonly sha256: string },
    parts: readonly StoredPart[],
    { digests }: StreamedParts,
  ): Promise<ObjectInfo> {
    const { vault, again, key, stop } = this.#options;
    const stored = await again(() => vault.head(key, stop.signal));
    if (stored === null) throw this.#lost();
    const tags = [...parts].sort((one, other) => one.number - other.number).map(({ tag }) => tag);
    const attested = vault.attest(stored, { partSize: STREAM_PART, digests, tags });
    if (attested?.matches === true || (await holds(vault, stored, told, { signal: stop.signal, again })))
      return stored;
    throw conflict(key);
  }

  /** For good, in a bucket that keeps versions too. */
  async #remove(temporary: ObjectInfo): Promise<void> {
    const { client, vault } = this.#options;
    const { versionId } = temporary;
    if (versionId === undefined) return await vault.delete(temporary.key);
    await client.send({
      operation: "DeleteObjectVersion",
      key: temporary.key,
      command: (sdk) =>
        new sdk.DeleteObjectCommand({
          Bucket: client.settings.bucket,
          Key: bucketKey(client.settings, temporary.key),
          VersionId: versionId,
        }),
    });
  }
}
