import { S3Client } from "@aws-sdk/client-s3";
import { StoreAdmin } from "./store-admin.ts";
import type { StoreFacts, StoreKeys } from "./store-facts.ts";
export interface BucketOptions {
    readonly versioning?: boolean;
    /** Object Lock, which also turns versioning on. */
    readonly objectLock?: boolean;
}
/** A store as a test works with it: plain requests, past the program and past any proxy. */
export declare class S3Store {
    #private;
    readonly facts: StoreFacts;
    /** Requests as the store's owner. */
    readonly client: S3Client;
    constructor(facts: StoreFacts);
    /** The users of the store; undefined where it is not a radosgw of our own. */
    get admin(): StoreAdmin | undefined;
    /** A client with other keys, or with the same ones at another address, such as a proxy's. */
    clientFor(keys: StoreKeys, endpoint?: string): S3Client;
    createBucket(name: string, options?: BucketOptions): Promise<void>;
    /** Creates a bucket that nobody else uses; answers with its name. */
    newBucket(options?: BucketOptions): Promise<string>;
    /**
     * Deletes the bucket with every version of every object and every unfinished upload. What is under a lock that cannot
     * be bypassed makes it fail.
     */
    removeBucket(name: string): Promise<void>;
}
