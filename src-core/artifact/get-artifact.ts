import { createHash } from "node:crypto";
import { basename, join, resolve } from "node:path";
import type { ArtifactGetResult, GetOptions } from "../../src-contract/artifacts.ts";
import type { Failure } from "../../src-contract/failure.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { ParsedRequest } from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import { appendEvent } from "../custody/custody-log.ts";
import { inDraftFolder } from "../draft-folder.ts";
import { makeFolders, publishFile } from "../durable-files.ts";
import { type FailureError, fail, throwIfCancelled, writeFailure } from "../failing.ts";
import { readFully, writeFully } from "../full-io.ts";
import { refuseInsideHome } from "../home.ts";
import { rfc3339FromMs } from "../package/times.ts";
import type { ObjectInfo } from "../ports.ts";
import { untilConfirmed } from "../transfer/confirmed-digest.ts";
import { inLanes, partRanges } from "../transfer/part-lanes.ts";
import { refuseTaken } from "../transfer/place-pulled.ts";
import { byteMeter } from "../transfer/progress-meter.ts";
import { retrying } from "../transfer/retry.ts";
import { withFile } from "../vault/folder-files.ts";
import { digestRange } from "../vault/pump-range.ts";
import { type ArtifactPlace, artifactPlace, keptDigest } from "./artifact-place.ts";
import { metered } from "./send-file.ts";

/** What is fetched in one request; and up to here all of it is checked before a byte is handed on. */
const PIECE = 16 * 1024 * 1024;

/**
 * Fetches one artifact into a folder, or hands its bytes to the caller, and holds it against the SHA-256 that is kept with it: bytes that differ leave no
 * file (DIGEST_MISMATCH). One of another program that keeps none is fetched with a warning.
 */
export async function getArtifact(
  core: Core,
  request: ParsedRequest<"artifactGet">,
  { onContent, ...options }: GetOptions,
  warn: (warning: Failure) => void,
): Promise<ArtifactGetResult> {
  const { audit, phase, name } = request;
  const to = request.to === undefined ? null : await folderFor(core, request.to, name);
  const place = await artifactPlace(core, request, options);
  const key = `${place.prefix}${phase}/${name}`;
  const info = await place.vault.head(key);
  if (info === null) throw notThere(request, place, key);
  const expected = keptDigest(info);
  const fetching = new Fetching(core, place, info, expected, options);
  const sha256 = await fetching.run(to, onContent);
  const { vaultName: vault, engagement } = place;
  const checked = expected !== null;
  if (!checked) warn(unchecked(key, sha256, place));
  appendEvent(core.ledger, {
    time: rfc3339FromMs(core.clock.now()),
    type: "artifact-fetched",
    packageId: null,
    engagement,
    details: { audit, key, vault, sha256, size: info.size, device: core.device, checked },
  });
  return { audit, phase, name, key, vault, size: info.size, sha256, checked, path: to };
}

/** The path of the new file. Throws PATH_EXISTS when it is taken. */
async function folderFor(core: Core, folder: string, name: string): Promise<string> {
  const to = resolve(folder);
  await refuseInsideHome(core.home, to);
  await makeFolders(to).catch((error: unknown) => {
    throw writeFailure(error, to);
  });
  const target = join(to, basename(name));
  await refuseTaken([target]);
  return target;
}

function notThere(
  { audit, phase, name }: ParsedRequest<"artifactGet">,
  { vaultName }: ArtifactPlace,
  key: string,
): FailureError {
  return fail(
    "ARTIFACT_NOT_FOUND",
    `Vault ${vaultName} holds no artifact ${name} of audit ${audit} in phase ${phase}.`,
    `List what it holds: strongroom artifact ls --audit ${audit} --vault ${vaultName}`,
    { subject: key },
  );
}

function unchecked(key: string, sha256: string, { vaultName }: ArtifactPlace): Failure {
  return {
    code: "VAULT_UNFIT",
    message: `Nothing could be checked: vault ${vaultName} keeps no SHA-256 with ${key}. What came has SHA-256 ${sha256}.`,
    nextStep: "Hold it against the digest that whoever put it there can tell.",
    subject: key,
  };
}

/** One artifact on its way here. */
class Fetching {
  readonly #core: Core;
  readonly #place: ArtifactPlace;
  readonly #info: ObjectInfo;
  readonly #expected: string | null;
  readonly #options: CallOptions;

  constructor(
    core: Core,
    place: ArtifactPlace,
    info: ObjectInfo,
    expected: string | null,
    options: CallOptions,
  ) {
    this.#core = core;
    this.#place = place;
    this.#info = info;
    this.#expected = expected;
    this.#options = options;
  }

  /** Answers with the SHA-256 of what came. Throws INVALID_INPUT when there is not one place for it. */
  async run(target: string | null, take: GetOptions["onContent"]): Promise<string> {
    if (target !== null && take === undefined) return await this.#intoFile(target);
    if (target === null && take !== undefined) return await this.#handOn(take);
    throw fail("INVALID_INPUT", "An artifact is fetched to one place.", "Name a folder: --to DIR", {
      subject: "to",
    });
  }

  /** Written beside its place, checked, then given its name. */
  async #intoFile(target: string): Promise<string> {
    const folder = join(target, "..");
    return await inDraftFolder(folder, "artifact", async (draft) => {
      const file = join(draft, "content");
      try {
        const sha256 = await untilConfirmed(() => this.#receive(file));
        throwIfCancelled(this.#options.signal);
        await publishFile(file, target);
        return sha256;
      } catch (error) {
        throw writeFailure(error, target);
      }
    });
  }

  async #receive(file: string): Promise<string> {
    const { vault, lanes, retry } = this.#place;
    const { signal, onProgress } = this.#options;
    const { size, key } = this.#info;
    return await withFile(file, "w+", async (handle) => {
      const meter = byteMeter("receive", size, key, this.#core.clock, onProgress);
      await inLanes(partRanges(size, PIECE), lanes, signal, async (part, stop) => {
        await retrying(retry, stop, () =>
          metered(meter, (onBytes) =>
            vault.readRange(
              this.#info,
              part.offset,
              part.size,
              async (at, bytes) => {
                await writeFully(handle, part.offset + at, bytes);
                onBytes(bytes.length);
              },
              stop,
            ),
          ),
        );
      });
      meter.end();
      await handle.sync();
      const sha256 = await digestRange(
        size,
        async (at, bytes) => {
          if (!(await readFully(handle, at, bytes))) throw new Error(`${file} was cut off`);
        },
        { signal },
      );
      this.#require(sha256, "No file was written.");
      return sha256;
    });
  }

  /** In order. The last bytes go out only after the digest was compared. */
  async #handOn(take: (bytes: Uint8Array) => Promise<void>): Promise<string> {
    const { size, key } = this.#info;
    const { onProgress } = this.#options;
    const meter = byteMeter("receive", size, key, this.#core.clock, onProgress);
    const digest = createHash("sha256");
    if (size <= PIECE) {
      const bytes = await untilConfirmed(async () => {
        const read = await this.#piece(0, size);
        this.#require(createHash("sha256").update(read).digest("hex"), "Nothing of it was given out.");
        return read;
      });
      meter.add(size);
      await take(bytes);
      return digest.update(bytes).digest("hex");
    }
    for (let at = 0; at < size; at += PIECE) {
      const bytes = await this.#piece(at, Math.min(PIECE, size - at));
      digest.update(bytes);
      meter.add(bytes.length);
      const last = at + bytes.length === size;
      if (last) this.#require(digest.copy().digest("hex"), "Its last bytes were not given out.");
      await take(bytes);
    }
    meter.end();
    return digest.digest("hex");
  }

  async #piece(offset: number, size: number): Promise<Uint8Array> {
    const { vault, retry } = this.#place;
    const { signal } = this.#options;
    const piece = new Uint8Array(size);
    const fill = async (at: number, bytes: Uint8Array) => piece.set(bytes, at);
    await retrying(retry, signal, () => vault.readRange(this.#info, offset, size, fill, signal));
    return piece;
  }

  #require(actual: string, consequence: string): void {
    if (this.#expected === null || actual === this.#expected) return;
    throw fail(
      "DIGEST_MISMATCH",
      `${this.#info.key} has SHA-256 ${actual}; the one kept with it is ${this.#expected}. ${consequence}`,
      "Ask whoever put it there; do not rely on it.",
      { subject: this.#info.key, details: { expected: this.#expected, actual } },
    );
  }
}
