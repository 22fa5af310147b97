import { Worker } from "node:worker_threads";

/** These threads make many short-lived records: with Node's smaller default a tenth of the time of sealing went into collecting them. */
const YOUNG_GENERATION_MB = 32;

/** Threads by script that have started and wait for what they are to do. */
const waiting = new Map<string, Worker[]>();

/**
 * Starts threads for those who take threads of this script next. A thread takes a twentieth of a second to start, in which the program
 * can load what else it needs. Until it is taken it does not keep the process alive.
 */
export function startThreads(script: URL, count: number): void {
  const started = waiting.get(script.href) ?? [];
  waiting.set(script.href, started);
  while (started.length < count) {
    const worker = newThread(script);
    worker.unref();
    // One that dies before it is taken is forgotten: the next of its kind dies too, and is heard.
    worker.on("error", () => {
      const at = started.indexOf(worker);
      if (at !== -1) started.splice(at, 1);
    });
    started.push(worker);
  }
}

/** A thread of this script, started before or now. What it is to do is posted to it; it keeps the process alive until it is unref'd. */
export function takeThread(script: URL): Worker {
  const worker = waiting.get(script.href)?.shift() ?? newThread(script);
  worker.ref();
  return worker;
}

function newThread(script: URL): Worker {
  return new Worker(script, { resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB } });
}
