import type { TestProject } from "vitest/node";
import { CEPH_PROGRAMS } from "./ceph-cluster.ts";
import { missingPrograms } from "./programs.ts";
import { startRadosgw } from "./radosgw.ts";
import { namedStore } from "./store-facts.ts";

/** Matches the name of no test: all of them are counted as skipped, and none of their hooks runs. */
const NONE = /(?!)/;

/**
 * Run by vitest once, and only where a file of the stage s3 is among those to be run. The facts reach the tests over
 * vitest's own channel between its processes, never by arguments. Without a store and without the programs for one, the
 * tests are skipped; where CI=true is set, that is an error.
 */
export async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const named = await namedStore(process.env);
  if (named !== undefined) {
    project.provide("s3Store", named);
    return undefined;
  }
  const missing = await missingPrograms(CEPH_PROGRAMS);
  if (missing.length === 0) {
    const store = await startRadosgw();
    project.provide("s3Store", store.facts);
    return () => store.stop();
  }
  const reason = `No S3 store to test with: ${missing.join(", ")} not found and STRONGROOM_TEST_S3 not set.`;
  if (process.env.CI === "true") throw new Error(reason);
  console.warn(`${reason} These tests are skipped.`);
  project.config.testNamePattern = NONE;
  return undefined;
}
