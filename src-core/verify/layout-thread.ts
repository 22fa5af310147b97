import { parentPort, workerData } from "node:worker_threads";
import { asFailure } from "../failing.ts";
import { checkLayout, type LayoutRequest } from "./check-layout.ts";

/** Reading headers and manifests is work of its own thread, beside those that hash. */
const port = parentPort;
if (port === null) throw new Error("layout-thread runs as a worker thread");
try {
  port.postMessage({ result: await checkLayout(workerData as LayoutRequest) });
} catch (error) {
  port.postMessage({ failure: asFailure(error).failure });
}
