import { expect, test } from "vitest";
import type { ObjectInfo, Vault } from "../ports.ts";
import { failureOf } from "../vault/vault-fixtures.ts";
import { Bandwidth } from "./bandwidth.ts";
import { pacedVault } from "./bandwidth-vault.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Time that passes only while somebody sleeps, a little more than was asked for, as timers do. */
function fakePace(late = 1) {
  let now = 1000;
  return {
    now: () => now,
    sleep: async (ms: number) => {
      now += ms + late;
    },
    seconds: () => (now - 1000) / 1000,
  };
}

test.each([
  [1 * MIB, 64 * KIB],
  [100 * KIB, 64 * KIB],
  [7 * MIB, 256 * KIB],
  [300 * MIB, 2 * MIB],
])(
  "%d bytes per second in pieces of %d are just that over time, with one piece at most ahead",
  async (rate, piece) => {
    const pace = fakePace();
    const bandwidth = new Bandwidth(rate, pace);
    for (let bytes = piece; bytes < rate * 20; bytes += piece) {
      await bandwidth.take(piece, undefined);
      expect(bytes).toBeLessThanOrEqual(rate * pace.seconds() + piece + 1);
      // What timers lose is made up for: never behind by more than what a late timer and a step cost.
      expect(bytes).toBeGreaterThanOrEqual(rate * (pace.seconds() - 0.11));
    }
    expect(pace.seconds()).toBeGreaterThan(19);
  },
);

test("time that nobody used is not saved up", async () => {
  const pace = fakePace(0);
  const bandwidth = new Bandwidth(MIB, pace);
  await pace.sleep(60_000);
  const began = pace.seconds();
  for (let i = 0; i < 40; i++) await bandwidth.take(256 * KIB, undefined);
  expect(pace.seconds() - began).toBeGreaterThan(9.5);
});

test("several that ask at once share it in the order in which they asked", async () => {
  const pace = fakePace(0);
  const bandwidth = new Bandwidth(MIB, pace);
  const order: string[] = [];
  const ask = (name: string) => bandwidth.take(512 * KIB, undefined).then(() => order.push(name));
  await Promise.all(["a", "b", "c", "d"].map(ask));
  expect(order).toEqual(["a", "b", "c", "d"]);
  expect(pace.seconds()).toBeCloseTo(1.5, 1);
});

test("a limit that is changed or taken away holds at once for those who wait", async () => {
  const pace = fakePace(0);
  const bandwidth = new Bandwidth(64 * KIB, pace);
  await bandwidth.take(64 * MIB, undefined);
  const waiting = bandwidth.take(64 * KIB, undefined);
  bandwidth.rate = 64 * MIB;
  await waiting;
  expect(pace.seconds()).toBeLessThan(1.5);
  await bandwidth.take(640 * MIB, undefined);
  const free = bandwidth.take(1, undefined);
  bandwidth.rate = null;
  await free;
  expect(pace.seconds()).toBeLessThan(2);
});

test("whoever is told to stop stops at once, and does not use up what others wait for", async () => {
  let now = 0;
  const sleeping: (() => void)[] = [];
  const pace = {
    now: () => now,
    sleep: () => new Promise<void>((resolve) => sleeping.push(resolve)),
  };
  const bandwidth = new Bandwidth(MIB, pace);
  await bandwidth.take(10 * MIB, undefined);
  const stop = new AbortController();
  const stopped = bandwidth.take(10 * MIB, stop.signal);
  const other = bandwidth.take(MIB, undefined);
  stop.abort();
  expect((await failureOf(stopped)).code).toBe("CANCELLED");
  now = 10_000;
  for (let i = 0; i < 5; i++) {
    sleeping.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await other;
});

const OBJECT: ObjectInfo = { key: "k", size: 40 * MIB, version: "v" };

/** A vault that notes the ranges it is asked for, and hands out their bytes at once. */
function notingVault(asked: [number, number][], chunk = MIB): Vault {
  const noting: Partial<Vault> = {
    lanes: { first: 4, most: 16 },
    async readRange(_object, offset, size, consume) {
      asked.push([offset, size]);
      for (let at = 0; at < size; at += chunk)
        await consume(at, new Uint8Array(Math.min(chunk, size - at)).fill((offset + at) / MIB));
    },
  };
  return noting as Vault;
}

test("at a low limit a range is fetched in slices, so that no request lets the store wait; all bytes come in order", async () => {
  const pace = fakePace();
  const asked: [number, number][] = [];
  const vault = pacedVault(notingVault(asked), new Bandwidth(MIB, pace));
  let got = 0;
  await vault.readRange(OBJECT, 8 * MIB, 5 * MIB, async (at, bytes) => {
    expect(at).toBe(got);
    expect(bytes[0]).toBe(Math.floor((8 * MIB + at) / MIB));
    got += bytes.length;
  });
  expect(got).toBe(5 * MIB);
  expect(asked).toHaveLength(10);
  expect(Math.max(...asked.map(([, size]) => size))).toBe(512 * KIB);
  expect(pace.seconds()).toBeGreaterThan(4.4);
  expect(pace.seconds()).toBeLessThan(5.1);
});

test("without a limit, or with a high one, a range is one request", async () => {
  for (const rate of [null, 100 * MIB]) {
    const pace = fakePace();
    const asked: [number, number][] = [];
    const vault = pacedVault(notingVault(asked), new Bandwidth(rate, pace));
    await vault.readRange(OBJECT, 0, 40 * MIB, async () => undefined);
    expect(asked).toEqual([[0, 40 * MIB]]);
    if (rate !== null) expect(pace.seconds()).toBeCloseTo(0.39, 1);
  }
});

test("the lower the limit, the fewer lanes, so that each still gets its turn", () => {
  const lanesAt = (rate: number | null) => pacedVault(notingVault([]), new Bandwidth(rate)).lanes;
  expect(lanesAt(null)).toEqual({ first: 4, most: 16 });
  expect(lanesAt(10 * MIB)).toEqual({ first: 4, most: 16 });
  expect(lanesAt(512 * KIB)).toEqual({ first: 4, most: 8 });
  expect(lanesAt(64 * KIB)).toEqual({ first: 1, most: 1 });
});
