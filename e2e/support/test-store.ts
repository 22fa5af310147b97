import { afterAll, inject } from "vitest";
import { type BucketOptions, S3Store } from "./s3-store.ts";
import type { StoreFacts } from "./store-facts.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The store that `test-store-setup.ts` found or started; only the files of the stage s3 have it. */
    s3Store: StoreFacts | undefined;
  }
}

const buckets: string[] = [];

afterAll(async () => {
  for (const bucket of buckets.splice(0)) {
    try {
      await testStore().removeBucket(bucket);
    } catch (error) {
      console.warn(`bucket ${bucket} stays: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
});

/** The store of this run, for files named `*.s3.test.ts`, in a test or a hook. Several files use it at the same time. */
export function testStore(): S3Store {
  const facts = inject("s3Store");
  if (facts === undefined)
    throw new Error("no S3 store here: name the file *.s3.test.ts and run it in the stage s3");
  return new S3Store(facts);
}

/** Creates a bucket for this file alone; answers with its name. It is removed, with all it holds, at the file's end. */
export async function freshBucket(options: BucketOptions = {}): Promise<string> {
  const bucket = await testStore().newBucket(options);
  buckets.push(bucket);
  return bucket;
}
