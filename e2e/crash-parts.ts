import { expect } from "vitest";
import type { Seal } from "../src-contract/seal.ts";
import { fromLedger, type Scenario } from "./crash-scenario.ts";
import type { Exchange } from "./support/fault-exchange.ts";
import type { FaultProxy } from "./support/fault-proxy.ts";

/** Parts at once, at most (src-core/vault/s3-vault.ts). */
const LANES = 16;

const JOURNALLED = `
  SELECT number FROM transfer_parts JOIN transfers ON transfers.id = transfer
  WHERE direction = ? AND package_id = ? AND key LIKE '%.tar'`;
const ENDED =
  "SELECT count(*) FROM transfers WHERE direction = ? AND package_id = ? AND state IN ('stored', 'received') AND vault <> ''";

/** What was counted over all cases of a scenario. */
export interface PartTally {
  readonly cases: number;
  readonly kills: number;
  /** Parts that had begun and were not in the journal when a process was killed: of all kills, and the most at one. */
  readonly inFlight: number;
  readonly mostInFlight: number;
  /** Bytes of those parts, which may be moved again. */
  readonly allowed: number;
  /** Bytes that were moved beyond one archive in each case. */
  readonly again: number;
}

/** The transfers that are counted. */
export interface CountedTransfer {
  readonly home: string;
  readonly proxy: FaultProxy;
  readonly direction: "push" | "pull";
  readonly seal: Seal;
}

/**
 * Counts what moves of a package's archive between program and store, one process after the other, and holds it against the journal: what
 * was in it when a process was killed is never moved again, and what was not is moved once more at most.
 */
export class PartCount {
  readonly #what: CountedTransfer;
  #known = new Set<number>();
  #moved = 0;
  #allowed = 0;
  #tally: PartTally = { cases: 0, kills: 0, inFlight: 0, mostInFlight: 0, allowed: 0, again: 0 };

  constructor(what: CountedTransfer) {
    this.#what = what;
  }

  static of({ name, desk, proxy, work, seal }: Scenario): PartCount {
    if (proxy === undefined || seal === undefined || work === "build")
      throw new Error(`${name} has no store`);
    return new PartCount({ home: desk.home, proxy, direction: work, seal });
  }

  begin(): void {
    this.#what.proxy.forget();
    this.#known = new Set();
    this.#moved = 0;
    this.#allowed = 0;
  }

  /** After a process has ended, in whatever way. */
  async afterRun(end: "killed" | "ended"): Promise<void> {
    await expect
      .poll(() => this.#what.proxy.exchanges.filter(({ ended }) => !ended), { timeout: 20_000 })
      .toEqual([]);
    const requests = this.#what.proxy.exchanges.filter((exchange) => this.#isPart(exchange));
    this.#what.proxy.forget();
    const begun = requests.map((exchange) => this.#partOf(exchange));
    expect(
      begun.filter((part) => this.#known.has(part)),
      "parts moved again that the journal had",
    ).toEqual([]);
    expect(begun.length, "parts moved twice by one process").toBe(new Set(begun).size);
    for (const { received, sent } of requests)
      this.#moved += this.#what.direction === "push" ? received : sent;
    this.#known = this.#journalled();
    const inFlight = begun.filter((part) => !this.#known.has(part));
    this.#allowed += inFlight.reduce((sum, part) => sum + this.#sizeOf(part), 0);
    if (end === "killed") this.#tallyKill(inFlight.length);
    else this.#tallyEnd(inFlight);
  }

  get tally(): PartTally {
    return this.#tally;
  }

  #tallyKill(inFlight: number): void {
    expect(inFlight, "parts in flight").toBeLessThanOrEqual(LANES);
    const { kills, mostInFlight } = this.#tally;
    this.#tally = {
      ...this.#tally,
      kills: kills + 1,
      inFlight: this.#tally.inFlight + inFlight,
      mostInFlight: Math.max(mostInFlight, inFlight),
    };
  }

  #tallyEnd(inFlight: readonly number[]): void {
    expect(inFlight, "parts that the journal does not have in the end").toEqual([]);
    const again = this.#moved - this.#what.seal.archiveSize;
    expect(again, "bytes moved less than once").toBeGreaterThanOrEqual(0);
    expect(again, "bytes moved again, of those in flight").toBeLessThanOrEqual(this.#allowed);
    const { cases, allowed } = this.#tally;
    this.#tally = {
      ...this.#tally,
      cases: cases + 1,
      allowed: allowed + this.#allowed,
      again: this.#tally.again + again,
    };
  }

  #isPart({ operation, key }: Exchange): boolean {
    const { direction, seal } = this.#what;
    const moves = operation === (direction === "push" ? "upload-part" : "get");
    return moves && key.endsWith(`/${seal.packageId}/${seal.archive}`);
  }

  #partOf({ part, range }: Exchange): number {
    if (part !== undefined) return part;
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? "") ?? [];
    const number = Number(first) / this.#what.seal.partSize + 1;
    expect(Number.isInteger(number) && Number(last) - Number(first) + 1 === this.#sizeOf(number), range).toBe(
      true,
    );
    return number;
  }

  #sizeOf(part: number): number {
    const { partSize, archiveSize } = this.#what.seal;
    return Math.min(partSize, archiveSize - (part - 1) * partSize);
  }

  #journalled(): Set<number> {
    const { home, direction, seal } = this.#what;
    const [ended] = fromLedger(home, ENDED, direction, seal.packageId);
    if (ended === 1) return new Set(seal.parts.map((_, index) => index + 1));
    return new Set(fromLedger(home, JOURNALLED, direction, seal.packageId).map(Number));
  }
}

/** The same scenario, with all that moves counted. */
export function counted(scenario: Scenario, count: PartCount): Scenario {
  return {
    ...scenario,
    begin: async () => {
      await scenario.begin();
      count.begin();
    },
    afterKill: async (killed) => {
      await count.afterRun("killed");
      await scenario.afterKill(killed);
    },
    afterEnd: async (finished) => {
      await count.afterRun("ended");
      await scenario.afterEnd(finished);
    },
  };
}

/** For a person; sizes are MiB. */
export function partTable(counts: readonly (readonly [string, PartTally])[]): string {
  const line = (name: string, ...cells: readonly (number | string)[]) =>
    `${name.padEnd(36)}${cells.map((cell) => String(cell).padStart(11)).join("")}`;
  const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(1);
  return [
    line("", "packages", "kills", "in flight", "most", "their MiB", "MiB again"),
    ...counts.map(([name, { cases, kills, inFlight, mostInFlight, allowed, again }]) =>
      line(name, cases, kills, inFlight, mostInFlight, mib(allowed), mib(again)),
    ),
  ].join("\n");
}
