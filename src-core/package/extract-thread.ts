import { answerParent } from "./answer-parent.ts";
import { type ExtractRequest, extractArchive } from "./extract-archive.ts";

/** Unpacking blocks: it runs in a thread of its own. */
await answerParent((job: ExtractRequest, report) => extractArchive(job, report));
