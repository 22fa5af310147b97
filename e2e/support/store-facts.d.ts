import { z } from "zod";
/**
 * Where a store is and who may use it: what one process hands another about a test store. As a file it is JSON in
 * just this form. `cephFolder` is there only for a radosgw of our own and lets `StoreAdmin` manage its users.
 */
export declare const storeFactsSchema: z.ZodObject<{
    endpoint: z.ZodURL;
    region: z.ZodString;
    accessKeyId: z.ZodString;
    secretAccessKey: z.ZodString;
    cephFolder: z.ZodOptional<z.ZodString>;
}, z.core.$strict>;
export type StoreFacts = z.infer<typeof storeFactsSchema>;
/** An access key and its secret. */
export type StoreKeys = Pick<StoreFacts, "accessKeyId" | "secretAccessKey">;
/**
 * The store named by `STRONGROOM_TEST_S3`, if any: the path of a JSON file in the form of `storeFactsSchema` (what
 * `run-radosgw.ts` writes), or that JSON itself. The user must be allowed to create and delete buckets.
 */
export declare function namedStore(env: NodeJS.ProcessEnv): Promise<StoreFacts | undefined>;
