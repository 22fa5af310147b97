import type { Progress } from "../../src-contract/progress.ts";
import type { Clock } from "../ports.ts";

const AT_MOST_EVERY_MS = 250;

/** Adds up bytes and reports them at most four times a second; `end` reports the last state in any case. */
export interface ByteMeter {
  /** A negative number takes back what has to be moved again. */
  add(bytes: number): void;
  end(): void;
}

export function byteMeter(
  phase: Progress["phase"],
  total: number | undefined,
  subject: string,
  clock: Clock,
  onProgress: ((progress: Progress) => void) | undefined,
): ByteMeter {
  let done = 0;
  let reported = Number.NEGATIVE_INFINITY;
  const report = () =>
    onProgress?.({ phase, done, ...(total === undefined ? {} : { total }), unit: "bytes", subject });
  return {
    add(bytes) {
      done += bytes;
      const now = clock.now();
      if (now - reported < AT_MOST_EVERY_MS) return;
      reported = now;
      report();
    },
    end: report,
  };
}
