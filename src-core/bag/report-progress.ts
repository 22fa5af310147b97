import type { CallOptions, Progress } from "../../src-contract/progress.ts";

const INTERVAL_MS = 250;

/** Counts the bytes of one phase and reports them at most four times a second, and once at its end. */
export function countProgress(
  phase: Progress["phase"],
  unit: Progress["unit"],
  total: number | undefined,
  options: CallOptions,
): { add(more: number): void; finish(): void } {
  let done = 0;
  let last = performance.now();
  const report = (): void =>
    options.onProgress?.(total === undefined ? { phase, done, unit } : { phase, done, total, unit });
  return {
    add(more) {
      done += more;
      const now = performance.now();
      if (now - last < INTERVAL_MS) return;
      last = now;
      report();
    },
    finish: report,
  };
}
