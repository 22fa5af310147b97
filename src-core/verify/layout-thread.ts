import { workerData } from "node:worker_threads";
import { answerParent } from "../package/answer-parent.ts";
import { checkLayout, type LayoutRequest } from "./check-layout.ts";

/** Reading headers and manifests is work of its own thread, beside those that hash. */
await answerParent(() => checkLayout(workerData as LayoutRequest));
