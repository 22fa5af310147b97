import { answerParent } from "./answer-parent.ts";
import { type RepackJob, repackBag } from "./repack-bag.ts";

/** Repacking blocks: it runs in a thread of its own. */
await answerParent(async (job: RepackJob, report) => {
  await repackBag(job, report);
  return true;
});
