import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import type {
  CompleteMultipartUploadCommandOutput,
  CreateMultipartUploadCommandInput,
  CreateMultipartUploadCommandOutput,
  S3Client,
  UploadPartCommandInput,
  UploadPartCommandOutput,
} from "@aws-sdk/client-s3";
import { fail } from "../failing.ts";
import type { StoredPart, Vault } from "../ports.ts";
import type { S3Capabilities } from "./s3-capabilities.ts";
import type { StoreClient } from "./s3-client.ts";
import { StoreRefusal } from "./s3-failures.ts";
import { bucketKey } from "./s3-keys.ts";
import { unreachable } from "./s3-network.ts";
import type { Sdk } from "./s3-sdk.ts";
import { MAX_PARTS, s3Location } from "./s3-settings.ts";
import { tagOf } from "./s3-tags.ts";
import { OTHER_BYTES, storedAs } from "./s3-write.ts";

/** Bytes of a part of a stream: so 156 GiB are the most. With three on their way and one that fills, the whole program stays below 300 MB. */
export const STREAM_PART = 16 * 1024 * 1024;
const AT_ONCE = 3;
const MOST_BYTES = STREAM_PART * MAX_PARTS;

export interface StreamedParts {
  readonly parts: readonly StoredPart[];
  /** SHA-256 hex of each part. */
  readonly digests: readonly string[];
}

interface StreamUpload {
  readonly client: StoreClient;
  readonly can: S3Capabilities;
  readonly vault: Pick<Vault, "head" | "abortUpload">;
  readonly again: <T>(work: () => Promise<T>) => Promise<T>;
  /** Given by the caller to end it, and by the upload itself to end what else goes on. */
  readonly stop: AbortController;
}

/**
 * Sends a stream of more than one part to a key that nobody else uses, by lib-storage, which cuts it into parts. Each request goes over the vault's
 * own client: with its digest, its watch over silence and its failures. What fails leaves no upload behind.
 */
export async function uploadStream(
  { client, can, vault, again, stop }: StreamUpload,
  key: string,
  stream: AsyncIterable<Uint8Array>,
): Promise<StreamedParts> {
  const [{ Upload }, { SDK: sdk }] = await Promise.all([
    import("@aws-sdk/lib-storage"),
    import("./s3-sdk.ts"),
  ]);
  const sender = new Sender(client, can, vault, key, sdk, stop.signal);
  const running = new Set<Promise<unknown>>();
  let failure: unknown = null;
  /** Its lanes go on after one of them has failed: here they are stopped. */
  const send = async (command: object): Promise<unknown> => {
    const work = again(() => sender.send(command));
    running.add(work);
    try {
      return await work;
    } catch (error) {
      failure ??= error;
      stop.abort();
      throw error;
    } finally {
      running.delete(work);
    }
  };
  const upload = new Upload({
    // All that it uses of a client, for streams that have more than one part.
    client: {
      send,
      config: { requestChecksumCalculation: async () => "WHEN_REQUIRED" },
    } as unknown as S3Client,
    params: {
      Bucket: client.settings.bucket,
      Key: bucketKey(client.settings, key),
      Body: Readable.from(limited(stream)),
    },
    partSize: STREAM_PART,
    queueSize: AT_ONCE,
    leavePartsOnError: true,
    abortController: stop,
  });
  try {
    await upload.done();
  } catch (error) {
    stop.abort();
    while (running.size > 0) await Promise.allSettled(running);
    for (const uploadId of sender.uploadIds) await vault.abortUpload({ key, uploadId });
    throw failure ?? error;
  }
  return sender.sent();
}

async function* limited(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const piece of stream) {
    bytes += piece.length;
    if (bytes > MOST_BYTES) {
      throw fail(
        "VAULT_UNFIT",
        `A stream of more than ${MOST_BYTES} bytes cannot be stored in S3: its parts are of ${STREAM_PART} bytes each, and there may be ${MAX_PARTS}.`,
        "Write it to a file, then put that.",
      );
    }
    yield piece;
  }
}

/** Sends the commands that lib-storage makes. */
class Sender {
  readonly uploadIds: string[] = [];
  readonly #client: StoreClient;
  readonly #can: S3Capabilities;
  readonly #vault: Pick<Vault, "head">;
  readonly #key: string;
  readonly #sdk: Sdk;
  readonly #signal: AbortSignal;
  readonly #parts = new Map<number, StoredPart & { readonly sha256: string }>();

  constructor(
    client: StoreClient,
    can: S3Capabilities,
    vault: Pick<Vault, "head">,
    key: string,
    sdk: Sdk,
    signal: AbortSignal,
  ) {
    this.#client = client;
    this.#can = can;
    this.#vault = vault;
    this.#key = key;
    this.#sdk = sdk;
    this.#signal = signal;
  }

  send(command: object): Promise<unknown> {
    const { CreateMultipartUploadCommand, UploadPartCommand, CompleteMultipartUploadCommand } = this.#sdk;
    if (command instanceof CreateMultipartUploadCommand) return this.#create(command.input);
    if (command instanceof UploadPartCommand) return this.#part(command.input);
    if (command instanceof CompleteMultipartUploadCommand) {
      const { input } = command;
      return this.#complete(() => new CompleteMultipartUploadCommand(input));
    }
    throw new Error(`lib-storage sends ${command.constructor.name}, which is not expected`);
  }

  sent(): StreamedParts {
    const parts = [...this.#parts.values()].sort((one, other) => one.number - other.number);
    return {
      parts: parts.map(({ number, size, tag }) => ({ number, size, tag })),
      digests: parts.map(({ sha256 }) => sha256),
    };
  }

  async #create(input: CreateMultipartUploadCommandInput): Promise<CreateMultipartUploadCommandOutput> {
    // In the store's ordinary class, whatever the vault's is: it is copied and removed at once.
    const stored = storedAs(this.#client.settings);
    const output = await this.#client.send({
      operation: "CreateMultipartUpload",
      key: this.#key,
      signal: this.#signal,
      command: (sdk) => new sdk.CreateMultipartUploadCommand({ ...input, ...this.#checksums(), ...stored }),
    });
    if (output.UploadId !== undefined) this.uploadIds.push(output.UploadId);
    return output;
  }

  #checksums() {
    return this.#can.checksums ? ({ ChecksumAlgorithm: "SHA256", ChecksumType: "COMPOSITE" } as const) : {};
  }

  async #part(input: UploadPartCommandInput): Promise<UploadPartCommandOutput> {
    const body = input.Body as Uint8Array;
    const number = Number(input.PartNumber);
    const sha256 = createHash("sha256").update(body).digest();
    try {
      const output = await this.#client.withMd5(
        async () => createHash("md5").update(body).digest("base64"),
        (more) =>
          this.#client.send({
            operation: "UploadPart",
            key: this.#key,
            signal: this.#signal,
            headers: { "x-amz-content-sha256": sha256.toString("hex") },
            command: (sdk) =>
              new sdk.UploadPartCommand({
                ...input,
                ContentLength: body.length,
                ...more,
                ...(this.#can.checksums ? { ChecksumSHA256: sha256.toString("base64") } : {}),
              }),
          }),
      );
      this.#parts.set(number, {
        number,
        size: body.length,
        tag: tagOf(output),
        sha256: sha256.toString("hex"),
      });
      return output;
    } catch (error) {
      if (!(error instanceof StoreRefusal) || !OTHER_BYTES.has(error.storeCode)) throw error;
      // The digest was computed from these very bytes.
      throw unreachable(
        s3Location(this.#client.settings),
        "damaged on the way",
        `part ${number} of ${this.#key} was damaged on its way; it was not stored`,
      );
    }
  }

  /** Its answer can be lost; then the object tells. */
  async #complete(
    command: () => InstanceType<Sdk["CompleteMultipartUploadCommand"]>,
  ): Promise<CompleteMultipartUploadCommandOutput> {
    try {
      return await this.#client.send({
        operation: "CompleteMultipartUpload",
        key: this.#key,
        signal: this.#signal,
        answerMs: this.#client.limits.completeMs,
        command,
      });
    } catch (error) {
      const stored = await this.#vault.head(this.#key, this.#signal);
      const size = [...this.#parts.values()].reduce((sum, part) => sum + part.size, 0);
      if (stored?.size !== size) throw error;
      return { $metadata: {}, ETag: stored.version };
    }
  }
}
