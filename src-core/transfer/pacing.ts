import type { Clock, Vault } from "../ports.ts";
import { LaneCount } from "./lane-count.ts";
import { COMMAND_RETRY, type RetryPolicy } from "./retry.ts";

/** How fast a transfer goes about its work. */
export interface Pacing {
  readonly lanes: LaneCount;
  readonly retry: RetryPolicy;
}

/** The vault's own number of lanes unless one is given; a failure that is waited out makes them fewer. */
export function pacing(options: {
  readonly vault: Pick<Vault, "lanes">;
  readonly clock: Clock;
  readonly lanes?: number | undefined;
  readonly retry?: RetryPolicy | undefined;
}): Pacing {
  const { vault, clock, lanes: fixed, retry = COMMAND_RETRY } = options;
  const lanes = new LaneCount(fixed === undefined ? vault.lanes : { first: fixed, most: fixed }, clock);
  const onWait: RetryPolicy["onWait"] = (failure) => {
    lanes.throttled();
    retry.onWait?.(failure);
  };
  return { lanes, retry: { ...retry, onWait } };
}
