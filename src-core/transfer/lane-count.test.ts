import { expect, test } from "vitest";
import { LaneCount } from "./lane-count.ts";

/** Moves parts of one byte for as many windows; `rate` says how many bytes go in a millisecond at so many lanes. */
function drive(
  lanes: LaneCount,
  clock: { time: number },
  windows: number,
  rate: (lanes: number) => number,
): void {
  for (let window = 0; window < windows; window++) {
    const count = lanes.current;
    for (let part = 0; part < count; part++) {
      clock.time += 1000 / rate(count);
      lanes.moved(1000);
    }
  }
}

const lanesAt = (clock: { time: number }, first = 2, most = 8) =>
  new LaneCount({ first, most }, { now: () => clock.time });

test("climbs while more lanes bring more, and stays within the vault's bounds", () => {
  const clock = { time: 0 };
  const lanes = lanesAt(clock);
  drive(lanes, clock, 40, (count) => count);
  expect(lanes.current).toBe(8);
});

test("stays about where more lanes bring nothing more", () => {
  const clock = { time: 0 };
  const lanes = lanesAt(clock);
  drive(lanes, clock, 40, (count) => Math.min(count, 4));
  expect(lanes.current).toBeGreaterThanOrEqual(4);
  expect(lanes.current).toBeLessThanOrEqual(6);
});

test("goes back where more lanes cost throughput", () => {
  const clock = { time: 0 };
  const lanes = lanesAt(clock, 6);
  drive(lanes, clock, 3, () => 10);
  drive(lanes, clock, 8, (count) => 1 / count);
  expect(lanes.current).toBeLessThan(6);
});

test("halves when the store asks for less, never below one, and climbs again", () => {
  const clock = { time: 0 };
  const lanes = lanesAt(clock, 8);
  lanes.throttled();
  expect(lanes.current).toBe(4);
  for (let again = 0; again < 5; again++) lanes.throttled();
  expect(lanes.current).toBe(1);
  drive(lanes, clock, 20, (count) => count);
  expect(lanes.current).toBe(8);
});

test("no part is begun while work holds the lanes", async () => {
  const lanes = lanesAt({ time: 0 });
  await lanes.holding(async () => expect(lanes.current).toBe(0));
  expect(lanes.current).toBe(2);
});
