import type { CallOptions, Progress } from "../src-contract/progress.ts";
import type { Clock } from "./ports.ts";

const INTERVAL_MS = 250;

/** Lets progress through at most four times a second, but always the first word of a phase and its end. */
export function throttled(options: CallOptions, clock: Clock): CallOptions {
  const { onProgress } = options;
  if (onProgress === undefined) return options;
  let phase: Progress["phase"] | undefined;
  let last = 0;
  return {
    ...options,
    onProgress: (progress) => {
      const now = clock.now();
      if (progress.phase === phase && progress.done !== progress.total && now - last < INTERVAL_MS) return;
      phase = progress.phase;
      last = now;
      onProgress(progress);
    },
  };
}
