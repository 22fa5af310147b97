import { workerData } from "node:worker_threads";
import { answerParent } from "./answer-parent.ts";
import { type RepackJob, repackBag } from "./repack-bag.ts";

/** Repacking blocks: it runs in a thread of its own. */
await answerParent(async (report) => {
  await repackBag(workerData as RepackJob, report);
  return true;
});
