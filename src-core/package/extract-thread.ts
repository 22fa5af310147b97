import { parentPort, workerData } from "node:worker_threads";
import { asFailure } from "../failing.ts";
import { type ExtractRequest, extractArchive } from "./extract-archive.ts";

/** Unpacking blocks: it runs in a thread of its own. */
const port = parentPort;
if (port === null) throw new Error("extract-thread runs as a worker thread");
try {
  const result = await extractArchive(workerData as ExtractRequest, (progress) =>
    port.postMessage({ progress }),
  );
  port.postMessage({ result });
} catch (error) {
  port.postMessage({ failure: asFailure(error).failure });
}
