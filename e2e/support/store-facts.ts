import { readFile } from "node:fs/promises";
import { z } from "zod";

/**
 * Where a store is and who may use it: what one process hands another about a test store. As a file it is JSON in
 * just this form. `cephFolder` is there only for a radosgw of our own and lets `StoreAdmin` manage its users.
 */
const storeFactsSchema = z.strictObject({
  endpoint: z.url(),
  region: z.string().min(1),
  accessKeyId: z.string().min(1),
  secretAccessKey: z.string().min(1),
  cephFolder: z.string().optional(),
});

export type StoreFacts = z.infer<typeof storeFactsSchema>;

/** An access key and its secret. */
export type StoreKeys = Pick<StoreFacts, "accessKeyId" | "secretAccessKey">;

/**
 * The store named by `STRONGROOM_TEST_S3`, if any: the path of a JSON file in the form of `storeFactsSchema` (what
 * `run-radosgw.ts` writes), or that JSON itself. The user must be allowed to create and delete buckets.
 */
export async function namedStore(env: NodeJS.ProcessEnv): Promise<StoreFacts | undefined> {
  const value = env.STRONGROOM_TEST_S3?.trim();
  if (value === undefined || value === "") return undefined;
  let facts: unknown;
  try {
    facts = JSON.parse(value.startsWith("{") ? value : await readFile(value, "utf8"));
  } catch {
    // Neither the value nor the parser's message is shown: both may hold the secret.
    throw new Error("STRONGROOM_TEST_S3 is neither JSON nor the path of a readable JSON file");
  }
  const checked = storeFactsSchema.safeParse(facts);
  if (checked.success) return checked.data;
  // The issues name fields and never values: the secret stays out of the message.
  const wrong = checked.error.issues.map((issue) => issue.path.join(".") || issue.code);
  throw new Error(`STRONGROOM_TEST_S3 does not describe a store; wrong or missing: ${wrong.join(", ")}`);
}
