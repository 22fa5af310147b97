import { createHash, randomBytes } from "node:crypto";
import type { UploadRef } from "../ports.ts";
import type { StoreClient } from "./s3-client.ts";
import { StoreRefusal } from "./s3-failures.ts";
import { bucketKey } from "./s3-keys.ts";
import { OPERATIONS } from "./s3-operations.ts";
import type { KeptAs } from "./s3-probe-settings.ts";
import type { S3Settings } from "./s3-settings.ts";
import { isGone } from "./s3-upload.ts";
import { storedAs } from "./s3-write.ts";

/** How long a probe object is locked where the bucket would lock it for its own default time: the shortest that any clock allows. */
const LOCK_MS = 60_000;

/** What a probe object is stored with beyond the vault's own settings. */
export interface ProbeLock {
  readonly ObjectLockMode?: "GOVERNANCE";
  readonly ObjectLockRetainUntilDate?: Date;
}

export function probeLock(): ProbeLock {
  return { ObjectLockMode: "GOVERNANCE", ObjectLockRetainUntilDate: new Date(Date.now() + LOCK_MS) };
}

/** What could not be taken away again, for a person. */
interface Leftover {
  readonly key: string;
  readonly why: string;
  /** The lock alone keeps it. */
  readonly locked: boolean;
}

/** The objects and uploads that one health check makes, under a name of its own, and takes away again. */
export class ProbeObjects {
  readonly #client: StoreClient;
  readonly #folder = `.strongroom-probe-${randomBytes(8).toString("hex")}`;
  readonly #made = new Map<string, { readonly key: string; readonly versionId: string | undefined }>();
  readonly #uploads = new Map<string, Pick<UploadRef, "key" | "uploadId">>();
  /** What the store said of the object or upload of each name when it took it. */
  readonly kept = new Map<string, KeptAs>();
  lock: ProbeLock = {};

  constructor(client: StoreClient) {
    this.#client = client;
  }

  key(name: string): string {
    return `${this.#folder}/${name}`;
  }

  /** Stores `bytes` as evidence is stored, but for what `as` changes; with `said` as the digest of the request instead of the true one. */
  async put(
    name: string,
    bytes: Buffer,
    more: {
      readonly said?: string;
      readonly IfNoneMatch?: string;
      readonly as?: Pick<Partial<S3Settings>, "encryption" | "storageClass">;
    } = {},
  ) {
    const key = this.key(name);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const md5 = async () => createHash("md5").update(bytes).digest("base64");
    const output = await this.#making(key, () =>
      this.#client.withMd5(md5, (withMd5) =>
        this.#client.send({
          operation: "PutObject",
          key,
          headers: { "x-amz-content-sha256": more.said ?? sha256 },
          command: (sdk) =>
            new sdk.PutObjectCommand({
              ...this.#at(key),
              Body: bytes,
              ContentLength: bytes.length,
              ...(more.IfNoneMatch === undefined ? {} : { IfNoneMatch: more.IfNoneMatch }),
              ...withMd5,
              ...storedAs({ ...this.#client.settings, ...more.as }, { evidence: true }),
              ...this.lock,
            }),
        }),
      ),
    );
    this.kept.set(name, output);
  }

  /** All bytes of an object, of which it has `size`. */
  async read(name: string, size: number): Promise<Buffer> {
    const key = this.key(name);
    const pieces: Buffer[] = [];
    const { exchange } = await this.#client.open({
      operation: "GetObject",
      ranged: true,
      key,
      command: (sdk) => new sdk.GetObjectCommand({ ...this.#at(key), Range: `bytes=0-${size - 1}` }),
    });
    try {
      await exchange.pour(size, async (_at, bytes) => void pieces.push(Buffer.from(bytes)));
    } finally {
      exchange.close();
    }
    return Buffer.concat(pieces);
  }

  /** Begins an upload; `checksums` asks for SHA-256 of the parts. */
  async begin(name: string, checksums: boolean) {
    const key = this.key(name);
    const output = await this.#client.send({
      operation: "CreateMultipartUpload",
      key,
      command: (sdk) =>
        new sdk.CreateMultipartUploadCommand({
          ...this.#at(key),
          ...(checksums ? { ChecksumAlgorithm: "SHA256", ChecksumType: "COMPOSITE" } : {}),
          ...storedAs(this.#client.settings, { evidence: true }),
          ...this.lock,
        }),
    });
    this.kept.set(name, output);
    const uploadId = output.UploadId ?? "";
    this.#uploads.set(uploadId, { key, uploadId });
    return { key, uploadId, kept: output.ChecksumAlgorithm === "SHA256" };
  }

  /** Sends the only part; with `said` as the digest of the request instead of the true one. */
  async part(
    { key, uploadId }: Pick<UploadRef, "key" | "uploadId">,
    bytes: Buffer,
    { checksum, said }: { readonly checksum?: string; readonly said?: string } = {},
  ) {
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const md5 = async () => createHash("md5").update(bytes).digest("base64");
    return this.#client.withMd5(md5, (more) =>
      this.#client.send({
        operation: "UploadPart",
        key,
        headers: { "x-amz-content-sha256": said ?? sha256 },
        command: (sdk) =>
          new sdk.UploadPartCommand({
            ...this.#at(key),
            UploadId: uploadId,
            PartNumber: 1,
            Body: bytes,
            ContentLength: bytes.length,
            ...more,
            ...(checksum === undefined ? {} : { ChecksumSHA256: checksum }),
          }),
      }),
    );
  }

  async complete(
    { key, uploadId }: Pick<UploadRef, "key" | "uploadId">,
    part: { readonly ETag?: string | undefined; readonly ChecksumSHA256?: string | undefined },
    IfNoneMatch?: string,
  ): Promise<void> {
    const { ETag, ChecksumSHA256 } = part;
    await this.#making(key, () =>
      this.#client.send({
        operation: "CompleteMultipartUpload",
        key,
        answerMs: this.#client.limits.completeMs,
        command: (sdk) =>
          new sdk.CompleteMultipartUploadCommand({
            ...this.#at(key),
            UploadId: uploadId,
            ...(IfNoneMatch === undefined ? {} : { IfNoneMatch }),
            MultipartUpload: {
              Parts: [{ PartNumber: 1, ETag, ...(ChecksumSHA256 === undefined ? {} : { ChecksumSHA256 }) }],
            },
          }),
      }),
    );
    this.#uploads.delete(uploadId);
  }

  async head(name: string) {
    const key = this.key(name);
    return this.#client.send({
      operation: "HeadObject",
      key,
      command: (sdk) => new sdk.HeadObjectCommand({ ...this.#at(key), ChecksumMode: "ENABLED" }),
    });
  }

  async parts({ key, uploadId }: Pick<UploadRef, "key" | "uploadId">) {
    const output = await this.#client.send({
      operation: "ListParts",
      key,
      command: (sdk) => new sdk.ListPartsCommand({ ...this.#at(key), UploadId: uploadId }),
    });
    return output.Parts ?? [];
  }

  /** Takes everything away: each version that was made, or the object where no versions are kept. Whether a lock held is told too. */
  async remove(): Promise<{ readonly left: readonly Leftover[]; readonly lockHeld: boolean }> {
    const left: Leftover[] = [];
    let lockHeld = false;
    for (const { key, uploadId } of this.#uploads.values()) {
      const why = await refusalOf(
        this.#client.send({
          operation: "AbortMultipartUpload",
          key,
          command: (sdk) => new sdk.AbortMultipartUploadCommand({ ...this.#at(key), UploadId: uploadId }),
        }),
      );
      if (why !== null) left.push({ key: `the upload of ${key}`, why: said(why), locked: false });
    }
    for (const { key, versionId } of this.#made.values()) {
      const refused = await refusalOf(this.#delete(key, versionId, false));
      if (refused === null) continue;
      lockHeld ||= this.lock.ObjectLockMode !== undefined;
      const why = lockHeld ? await refusalOf(this.#delete(key, versionId, true)) : refused;
      if (why === null) continue;
      const locked = lockHeld && why.failure.details?.permission === BYPASS;
      left.push({ key, why: said(why), locked });
      // At least no listing shows it.
      if (versionId !== undefined) await refusalOf(this.#delete(key, undefined, false));
    }
    return { left, lockHeld };
  }

  async #delete(key: string, versionId: string | undefined, bypass: boolean): Promise<void> {
    await this.#client.send({
      operation: bypass
        ? "DeleteLockedVersion"
        : versionId === undefined
          ? "DeleteObject"
          : "DeleteObjectVersion",
      key,
      command: (sdk) =>
        new sdk.DeleteObjectCommand({
          ...this.#at(key),
          ...(versionId === undefined ? {} : { VersionId: versionId }),
          ...(bypass ? { BypassGovernanceRetention: true } : {}),
        }),
    });
  }

  #at(key: string) {
    return { Bucket: this.#client.settings.bucket, Key: bucketKey(this.#client.settings, key) };
  }

  /** What was asked for, and whose end was not heard, may have come about. */
  async #making<T extends { readonly VersionId?: string | undefined }>(
    key: string,
    work: () => Promise<T>,
  ): Promise<T> {
    try {
      const output = await work();
      this.#remember(key, output.VersionId);
      return output;
    } catch (error) {
      if (!(error instanceof StoreRefusal) || error.status >= 500) this.#remember(key, undefined);
      throw error;
    }
  }

  #remember(key: string, versionId: string | undefined): void {
    this.#made.set(`${key} ${versionId ?? ""}`, { key, versionId });
  }
}

const BYPASS = OPERATIONS.DeleteLockedVersion.permission;

/** Without the full stop. */
function said({ message }: StoreRefusal): string {
  return message.replace(/\.$/, "");
}

/** How the store refused; null when it did not, or when there was nothing. Failures of the way there are thrown. */
async function refusalOf(work: Promise<unknown>): Promise<StoreRefusal | null> {
  try {
    await work;
    return null;
  } catch (error) {
    if (error instanceof StoreRefusal && isGone(error)) return null;
    if (error instanceof StoreRefusal) return error;
    throw error;
  }
}
