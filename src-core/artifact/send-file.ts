import type { CallOptions } from "../../src-contract/progress.ts";
import { openFileSource } from "../archive/file-source.ts";
import { choosePartSize } from "../archive/part-plan.ts";
import type { Core } from "../core.ts";
import { asFailure, fail } from "../failing.ts";
import type { ObjectInfo, RangeSource, StoredPart, UploadRef } from "../ports.ts";
import { digestParts } from "../transfer/digest-parts.ts";
import { damagedParts } from "../transfer/end-check.ts";
import { inLanes, partRanges } from "../transfer/part-lanes.ts";
import { type ByteMeter, byteMeter } from "../transfer/progress-meter.ts";
import { retrying } from "../transfer/retry.ts";
import { withRetry } from "../transfer/steady-vault.ts";
import { conflict } from "../vault/conflict.ts";
import { holds } from "../vault/stream-bytes.ts";
import { type ArtifactPlace, keptDigest } from "./artifact-place.ts";

export interface SentFile {
  readonly info: ObjectInfo;
  readonly sha256: string;
  readonly bytes: number;
  readonly already: boolean;
}

/**
 * Stores a file under a key with its digest, in parts unless it is one, and checks what the vault holds then. The file is read twice: for its
 * digests, and to be sent; bytes that differ the second time are refused. It is not resumed: what fails leaves nothing behind.
 * Throws OBJECT_CONFLICT, SOURCE_CHANGED and what reading or storing throws.
 */
export async function sendFile(
  core: Core,
  place: ArtifactPlace,
  key: string,
  file: { readonly path: string; readonly contentType: string },
  options: CallOptions,
): Promise<SentFile> {
  const source = await openFileSource(file.path);
  try {
    const work = new Sending(core, place, key, file, source, options);
    return await work.run();
  } finally {
    await source.close();
  }
}

/** One file on its way. */
class Sending {
  readonly #core: Core;
  readonly #place: ArtifactPlace;
  readonly #key: string;
  readonly #file: { readonly path: string; readonly contentType: string };
  readonly #source: RangeSource;
  readonly #options: CallOptions;
  readonly #partSize: number;

  constructor(
    core: Core,
    place: ArtifactPlace,
    key: string,
    file: { readonly path: string; readonly contentType: string },
    source: RangeSource,
    options: CallOptions,
  ) {
    this.#core = core;
    this.#place = place;
    this.#key = key;
    this.#file = file;
    this.#source = source;
    this.#options = options;
    this.#partSize = choosePartSize(source.size);
  }

  async run(): Promise<SentFile> {
    const { vault } = this.#place;
    const { signal } = this.#options;
    const { size } = this.#source;
    const hashing = this.#meter("hash");
    const { whole, parts } = await digestParts(this.#source, this.#partSize, {
      signal,
      onBytes: (bytes) => hashing.add(bytes),
    });
    hashing.end();
    const digests = parts.length === 0 ? [whole] : parts;
    const told = { sha256: whole, bytes: size };
    const there = await vault.head(this.#key);
    if (there !== null) return await this.#compared(there, told);
    await vault.requireRoom(size, size);
    try {
      const tags = size <= this.#partSize ? await this.#whole(whole) : await this.#inParts(whole, digests);
      return { ...told, info: await this.#checked(digests, tags), already: false };
    } catch (error) {
      const { code } = asFailure(error).failure;
      if (code === "DIGEST_MISMATCH") throw this.#changed(error);
      if (code !== "OBJECT_CONFLICT") throw error;
      const winner = await vault.head(this.#key);
      if (winner === null) throw error;
      return await this.#compared(winner, told);
    }
  }

  /** Something is under the key: the same bytes are a success. */
  async #compared(
    there: ObjectInfo,
    told: { readonly sha256: string; readonly bytes: number },
  ): Promise<SentFile> {
    const { vault, retry } = this.#place;
    const { signal } = this.#options;
    const again = <T>(work: () => Promise<T>) => retrying(retry, signal, work);
    if (!(await holds(vault, there, told, { signal, again }))) throw conflict(this.#key);
    // A process may have been killed between the two.
    if (keptDigest(there) === null) await vault.tellDigest?.(this.#key, told.sha256);
    return { ...told, info: (await vault.head(this.#key)) ?? there, already: true };
  }

  /** Answers with what the vault said of the bytes. */
  async #whole(sha256: string): Promise<readonly string[]> {
    const { vault } = this.#place;
    const { signal } = this.#options;
    const bytes = new Uint8Array(this.#source.size);
    if (bytes.length > 0) await this.#source.read(0, bytes, signal);
    const meter = this.#meter("send");
    const { contentType } = this.#file;
    const how = { metadata: { sha256 }, contentType, evidence: true };
    const info = await vault.put(this.#key, bytes, { signal, sha256, ...how });
    meter.add(bytes.length);
    meter.end();
    return [info.version];
  }

  async #inParts(sha256: string, digests: readonly string[]): Promise<readonly string[]> {
    const { vault } = this.#place;
    const { signal } = this.#options;
    const upload = await vault.beginUpload(this.#key, this.#source.size, this.#partSize, {
      signal,
      metadata: { sha256 },
      contentType: this.#file.contentType,
      evidence: true,
    });
    try {
      const parts = await this.#parts(upload, digests);
      await this.#complete(upload, parts);
      return parts.map(({ tag }) => tag);
    } catch (error) {
      throw await this.#dropped(upload, error);
    }
  }

  async #parts(upload: UploadRef, digests: readonly string[]): Promise<readonly StoredPart[]> {
    const { vault, lanes, retry } = this.#place;
    const meter = this.#meter("send");
    const sent: StoredPart[] = [];
    await inLanes(
      partRanges(upload.size, upload.partSize),
      lanes,
      this.#options.signal,
      async (part, stop) => {
        const body = { ...part, source: this.#source, sha256: digests[part.number - 1] ?? null };
        sent.push(
          await retrying(retry, stop, () =>
            metered(meter, (onBytes) => vault.putPart(upload, body, { signal: stop, onBytes })),
          ),
        );
      },
    );
    meter.end();
    return sent.sort((one, other) => one.number - other.number);
  }

  /** The answer can be lost; then the key tells, and the check that follows reads it. */
  async #complete(upload: UploadRef, parts: readonly StoredPart[]): Promise<void> {
    const { vault } = this.#place;
    try {
      await vault.completeUpload(upload, parts);
    } catch (error) {
      const lost = asFailure(error).failure.code === "OBJECT_CHANGED";
      if (!lost || (await vault.head(this.#key)) === null) throw error;
    }
  }

  /** The failure, after the upload was dropped; what could not be dropped is named in it. */
  async #dropped(upload: UploadRef, error: unknown): Promise<unknown> {
    const { vault, retry } = this.#place;
    try {
      // Also after the user stopped it.
      await withRetry(vault, retry).abortUpload(upload);
      return error;
    } catch (problem) {
      const { code, message, nextStep, details } = asFailure(error).failure;
      const leftUndone = [asFailure(problem).failure];
      return fail(
        code,
        message,
        `${nextStep} What was sent stays in the vault until it is cleared: strongroom transfers orphans`,
        { subject: this.#key, details: { ...details, leftUndone }, cause: error },
      );
    }
  }

  /**
   * By what the store says of the object where that proves its bytes, else by reading them back. Other bytes than were sent are somebody else's, who
   * was faster where a store does not keep two apart, or a folder's whose disk fails.
   */
  async #checked(digests: readonly string[], tags: readonly string[]): Promise<ObjectInfo> {
    const { vault, lanes, retry } = this.#place;
    const { signal } = this.#options;
    const stored = await vault.head(this.#key);
    if (stored === null) throw this.#gone();
    const expected = { partSize: this.#partSize, digests };
    if (stored.size === this.#source.size) {
      if (vault.attest(stored, { ...expected, tags })?.matches === true) return stored;
      const meter = this.#meter("verify");
      const damaged = await damagedParts({ vault, lanes, retry, signal, meter }, stored, expected);
      if (damaged.length === 0) return stored;
    }
    if (vault.kind === "s3") throw conflict(this.#key);
    await vault.delete(this.#key);
    throw fail(
      "IO_ERROR",
      `${this.#key} reads back from the vault with other bytes than were sent. It was removed.`,
      "Check the vault's disk, then run the same command again.",
      { subject: this.#key },
    );
  }

  #gone(): Error {
    return fail(
      "OBJECT_CHANGED",
      `${this.#key} was removed from the vault right after it was stored.`,
      "Find out who changes the vault, then run the same command again.",
      { subject: this.#key },
    );
  }

  #changed(cause: unknown): Error {
    return fail(
      "SOURCE_CHANGED",
      `${this.#file.path} was changed while it was sent. It was not stored.`,
      "Run the same command again once nothing writes to it.",
      { subject: this.#file.path, cause },
    );
  }

  #meter(phase: "hash" | "send" | "verify"): ByteMeter {
    return byteMeter(phase, this.#source.size, this.#key, this.#core.clock, this.#options.onProgress);
  }
}

/** Counts bytes as they move, and takes back those of a try that failed. */
export async function metered<T>(
  meter: ByteMeter,
  work: (onBytes: (bytes: number) => void) => Promise<T>,
): Promise<T> {
  let moved = 0;
  try {
    return await work((bytes) => {
      moved += bytes;
      meter.add(bytes);
    });
  } catch (error) {
    meter.add(-moved);
    throw error;
  }
}
