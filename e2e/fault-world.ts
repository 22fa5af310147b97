import { join } from "node:path";
import { type FaultPackage, faultPackage } from "./fault-package.ts";
import { type FaultBucket, faultBucket } from "./fault-place.ts";
import type { S3Store } from "./support/s3-store.ts";

/** What all cells of a matrix share. */
export interface FaultWorld {
  readonly bucket: FaultBucket;
  readonly onePart: FaultPackage;
  /** The last parts are short. */
  readonly twoParts: FaultPackage;
  readonly threeParts: FaultPackage;
  /** Its parts are smaller than S3 takes; it can only be read. */
  readonly fourParts: FaultPackage;
}

/** The smallest part that S3 takes if it is not the last. */
const PART = 5 * 2 ** 20;
const SMALL_PART = 2 ** 17;
const REST = 9000;

/** Seals the packages, whose lists are written into `folder`, and probes a bucket of the store, which nobody else uses. */
export async function faultWorld(store: S3Store, bucket: string, folder: string): Promise<FaultWorld> {
  return {
    bucket: await faultBucket(store, bucket, folder),
    onePart: await faultPackage(join(folder, "one"), REST, PART),
    twoParts: await faultPackage(join(folder, "two"), PART + REST, PART),
    threeParts: await faultPackage(join(folder, "three"), 2 * PART + REST, PART),
    fourParts: await faultPackage(join(folder, "four"), 3 * SMALL_PART + REST, SMALL_PART),
  };
}
