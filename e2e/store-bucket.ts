import { createHash } from "node:crypto";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  type ListObjectVersionsOutput,
} from "@aws-sdk/client-s3";
import type { Desk } from "./run-cli.ts";
import { FaultProxy } from "./support/fault-proxy.ts";
import type { BucketOptions, S3Store } from "./support/s3-store.ts";
import { freshBucket, testStore } from "./support/test-store.ts";

/** One version of an object, or the mark that it was deleted. */
export interface StoredVersion {
  readonly key: string;
  readonly versionId: string | undefined;
  /** The same for the same write, and for no other. */
  readonly name: string;
}

/** A bucket of this file's own, looked at past the program, which itself comes through a proxy. */
export class StoreBucket {
  readonly name: string;
  readonly store: S3Store;
  readonly proxy: FaultProxy;

  private constructor(name: string, store: S3Store, proxy: FaultProxy) {
    this.name = name;
    this.store = store;
    this.proxy = proxy;
  }

  /** Its keys are in this process's environment from now on, as a user of `--credentials env` has them. */
  static async open(options: BucketOptions = {}): Promise<StoreBucket> {
    const store = testStore();
    process.env.AWS_ACCESS_KEY_ID = store.facts.accessKeyId;
    process.env.AWS_SECRET_ACCESS_KEY = store.facts.secretAccessKey;
    return new StoreBucket(await freshBucket(options), store, await FaultProxy.open(store));
  }

  /** Makes an engagement on a desk, whose vault `office` is this bucket as it is seen through the proxy. */
  async engage(desk: Desk, engagement: string): Promise<void> {
    const where = ["--bucket", this.name, "--endpoint", this.proxy.endpoint];
    await desk.value("vault", "add", "s3", "office", ...where, "--credentials", "env");
    await desk.value("engagement", "create", engagement, "--vault", "office");
  }

  /** Every version that there is of what lies below a prefix, so that what was rewritten or deleted is seen too. */
  async versions(prefix = ""): Promise<readonly StoredVersion[]> {
    const found: StoredVersion[] = [];
    for (let next: object | null = {}; next !== null; ) {
      const page: ListObjectVersionsOutput = await this.store.client.send(
        new ListObjectVersionsCommand({ Bucket: this.name, Prefix: prefix, ...next }),
      );
      for (const { Key = "", VersionId, LastModified, ...rest } of [
        ...(page.Versions ?? []),
        ...(page.DeleteMarkers ?? []),
      ]) {
        const etag: unknown = Reflect.get(rest, "ETag");
        found.push({
          key: Key,
          versionId: VersionId,
          name: `${Key} ${VersionId} ${etag} ${LastModified?.getTime()}`,
        });
      }
      const { NextKeyMarker: KeyMarker, NextVersionIdMarker: VersionIdMarker } = page;
      next = page.IsTruncated === true ? { KeyMarker, VersionIdMarker } : null;
    }
    return found;
  }

  async bytes({ key, versionId }: Pick<StoredVersion, "key"> & Partial<StoredVersion>): Promise<Uint8Array> {
    const { Body } = await this.store.client.send(
      new GetObjectCommand({ Bucket: this.name, Key: key, ...(versionId && { VersionId: versionId }) }),
    );
    return (await Body?.transformToByteArray()) ?? new Uint8Array();
  }

  async remove({ key, versionId }: StoredVersion): Promise<void> {
    await this.store.client.send(
      new DeleteObjectCommand({ Bucket: this.name, Key: key, VersionId: versionId }),
    );
  }

  /** Keys of the uploads that were begun and are neither completed nor dropped. */
  async uploads(): Promise<readonly string[]> {
    const { Uploads = [] } = await this.store.client.send(
      new ListMultipartUploadsCommand({ Bucket: this.name }),
    );
    return Uploads.map(({ Key = "" }) => Key);
  }
}

export const sha256Of = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
