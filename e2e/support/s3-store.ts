import { randomBytes } from "node:crypto";
import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { StoreAdmin } from "./store-admin.ts";
import type { StoreFacts, StoreKeys } from "./store-facts.ts";

export interface BucketOptions {
  readonly versioning?: boolean;
  /** Object Lock, which also turns versioning on. */
  readonly objectLock?: boolean;
}

/** A store as a test works with it: plain requests, past the program and past any proxy. */
export class S3Store {
  readonly facts: StoreFacts;
  /** Requests as the store's owner. */
  readonly client: S3Client;

  constructor(facts: StoreFacts) {
    this.facts = facts;
    this.client = this.clientFor(facts);
  }

  /** The users of the store; undefined where it is not a radosgw of our own. */
  get admin(): StoreAdmin | undefined {
    const folder = this.facts.cephFolder;
    return folder === undefined ? undefined : new StoreAdmin(folder);
  }

  /** A client with other keys, or with the same ones at another address, such as a proxy's. */
  clientFor(
    keys: StoreKeys & { readonly sessionToken?: string },
    endpoint: string = this.facts.endpoint,
  ): S3Client {
    const { accessKeyId, secretAccessKey, sessionToken } = keys;
    return new S3Client({
      endpoint,
      region: this.facts.region,
      credentials: { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) },
      forcePathStyle: true,
      maxAttempts: 1,
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
    });
  }

  async createBucket(name: string, options: BucketOptions = {}): Promise<void> {
    const lock = options.objectLock === true ? { ObjectLockEnabledForBucket: true } : {};
    await this.client.send(new CreateBucketCommand({ Bucket: name, ...lock }));
    if (options.versioning !== true) return;
    const VersioningConfiguration = { Status: "Enabled" as const };
    await this.client.send(new PutBucketVersioningCommand({ Bucket: name, VersioningConfiguration }));
  }

  /** Creates a bucket that nobody else uses; answers with its name. */
  async newBucket(options: BucketOptions = {}): Promise<string> {
    const name = `strongroom-test-${randomBytes(8).toString("hex")}`;
    await this.createBucket(name, options);
    return name;
  }

  /**
   * Deletes the bucket with every version of every object and every unfinished upload. What is under a lock that cannot
   * be bypassed makes it fail.
   */
  async removeBucket(name: string): Promise<void> {
    await this.abortUploads(name);
    for (let more = true; more; ) {
      const page = await this.client.send(new ListObjectVersionsCommand({ Bucket: name }));
      const found = [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])];
      for (const { Key, VersionId } of found) {
        const options = { VersionId, BypassGovernanceRetention: true };
        await this.client.send(new DeleteObjectCommand({ Bucket: name, Key, ...options }));
      }
      more = found.length > 0;
    }
    await this.client.send(new DeleteBucketCommand({ Bucket: name }));
  }

  /** Drops every upload that was begun in a bucket and not completed. */
  async abortUploads(name: string): Promise<void> {
    for (let more = true; more; ) {
      const page = await this.client.send(new ListMultipartUploadsCommand({ Bucket: name }));
      const uploads = page.Uploads ?? [];
      for (const { Key, UploadId } of uploads) {
        await this.client.send(new AbortMultipartUploadCommand({ Bucket: name, Key, UploadId }));
      }
      more = uploads.length > 0;
    }
  }
}
