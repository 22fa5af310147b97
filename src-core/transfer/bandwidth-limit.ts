import { bandwidthSchema } from "../../src-contract/transfers.ts";
import type { Db } from "../catalog/database.ts";
import { asFailure } from "../failing.ts";
import { Bandwidth } from "./bandwidth.ts";

const NAME = "bytes-per-second";
/** How often a running process looks whether the limit was changed, milliseconds. */
const LOOK_MS = 500;

/** The limit that is kept for all transfers of this state folder, bytes per second; null for none. */
export function keptLimit(ledger: Db): number | null {
  const value = ledger
    .prepare<[string], string>("SELECT value FROM settings WHERE name = ?")
    .pluck()
    .get(NAME);
  return value === undefined ? null : bandwidthSchema.parse(JSON.parse(value));
}

/** Keeps a limit. Processes that run transfers follow it within a second. */
export function keepLimit(ledger: Db, bytesPerSecond: number | null): void {
  ledger
    .prepare("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)")
    .run(NAME, JSON.stringify(bytesPerSecond));
}

/** Runs `work` under a limit of its own, or where none is given (undefined) under the kept one, as it changes. */
export async function withBandwidth<T>(
  ledger: Db,
  bytesPerSecond: number | null | undefined,
  work: (bandwidth: Bandwidth) => Promise<T>,
): Promise<T> {
  if (bytesPerSecond !== undefined) return work(new Bandwidth(bytesPerSecond));
  const bandwidth = new Bandwidth(keptLimit(ledger));
  const look = setInterval(() => {
    try {
      const limit = keptLimit(ledger);
      if (limit !== bandwidth.rate) bandwidth.rate = limit;
    } catch (error) {
      // What cannot be read now is read the next time.
      if (!ledger.open) clearInterval(look);
      else if (asFailure(error).failure.code === "INTERNAL") throw error;
    }
  }, LOOK_MS);
  look.unref();
  try {
    return await work(bandwidth);
  } finally {
    clearInterval(look);
  }
}
