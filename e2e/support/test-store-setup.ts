import type { TestProject } from "vitest/node";
import { startRadosgw } from "./radosgw.ts";
import { namedStore } from "./store-facts.ts";

/**
 * Run by vitest once, and only where a file of the stage s3 is among those to be run. The facts reach the tests over
 * vitest's own channel between its processes, never by arguments.
 */
export async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  if (process.env.STRONGROOM_TEST_S3 === "none") {
    project.provide("s3Store", null);
    return undefined;
  }
  const named = await namedStore(process.env);
  if (named !== undefined) {
    project.provide("s3Store", named);
    return undefined;
  }
  const store = await startRadosgw();
  project.provide("s3Store", store.facts);
  return () => store.stop();
}
