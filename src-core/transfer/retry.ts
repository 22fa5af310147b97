import { setTimeout as delay } from "node:timers/promises";
import type { Failure, FailureCode } from "../../src-contract/failure.ts";
import type { CancelSignal } from "../../src-contract/progress.ts";
import { asFailure, throwIfCancelled } from "../failing.ts";

/** When and how often something is tried again; times are milliseconds. */
export interface RetryPolicy {
  /** Tries in all, the first one counted. */
  readonly tries: number;
  readonly firstMs: number;
  readonly longestMs: number;
  /** Waits; ends early, without a failure, when the signal is given. */
  readonly sleep: (ms: number, signal: CancelSignal | undefined) => Promise<void>;
  /** From 0 up to but not including 1. */
  readonly random: () => number;
  /** Told of a failure that is waited out before the next try. */
  readonly onWait?: (failure: Failure) => void;
}

/** For a command that somebody waits for: a share that hiccups is waited for, at most 15 seconds in all; one that is gone is reported. */
export const COMMAND_RETRY: RetryPolicy = {
  tries: 5,
  firstMs: 500,
  longestMs: 8_000,
  sleep,
  random: Math.random,
};

/** What time can heal. Everything else (refused bytes, no room, no permission, a conflict) would end the same way again. */
const CAN_HEAL: ReadonlySet<FailureCode> = new Set(["VAULT_UNREACHABLE", "IO_ERROR", "DATABASE_BUSY"]);

/** Whether a failure may be over when the same is tried again later. */
export function canHeal({ code }: Pick<Failure, "code">): boolean {
  return CAN_HEAL.has(code);
}

/**
 * Milliseconds to wait after so many tries: a random time between 0 and firstMs x 2^n ("full jitter"), or longer where the failure's
 * `details.retryAfterMs` says so.
 */
export function waitAfter(
  { firstMs, longestMs, random }: Pick<RetryPolicy, "firstMs" | "longestMs" | "random">,
  tried: number,
  { details }: Pick<Failure, "details">,
): number {
  const ceiling = Math.min(longestMs, firstMs * 2 ** (tried - 1));
  const asked = details?.retryAfterMs;
  const least = typeof asked === "number" ? Math.min(asked, longestMs) : 0;
  return Math.max(least, random() * ceiling);
}

/** Runs `work` until it succeeds, fails for good, or the tries are used up; the last failure is thrown. */
export async function retrying<T>(
  policy: RetryPolicy,
  signal: CancelSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  for (let tried = 1; ; tried++) {
    throwIfCancelled(signal);
    try {
      return await work();
    } catch (error) {
      const { failure } = asFailure(error);
      if (tried >= policy.tries || !canHeal(failure)) throw error;
      await waitOut(policy, signal, tried, failure);
    }
  }
}

/** Waits before what failed after so many tries is tried again. */
export async function waitOut(
  policy: RetryPolicy,
  signal: CancelSignal | undefined,
  tried: number,
  failure: Failure,
): Promise<void> {
  policy.onWait?.(failure);
  await policy.sleep(waitAfter(policy, tried, failure), signal);
}

/** Waits; ends early, without a failure, when the signal is given. */
export async function sleep(ms: number, signal: CancelSignal | undefined): Promise<void> {
  if (signal?.aborted) return;
  const stop = new AbortController();
  const onAbort = () => stop.abort();
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    await delay(ms, undefined, { signal: stop.signal });
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
}
