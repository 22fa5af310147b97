import type { Core } from "../core.ts";
import { asFailure } from "../failing.ts";
import { dropLeftovers, rowsWithLeftovers } from "./queue-leftovers.ts";
import { noteNextTry } from "./queue-rows.ts";
import { runnerOf } from "./queue-standing.ts";
import { canHeal } from "./retry.ts";

/** What can be dropped once its vault is there again is tried again after this, milliseconds. */
const HEALS_MS = 60_000;
/** What cannot be dropped for want of a permission or the like. */
const STAYS_MS = 3_600_000;

/** Does away with what cancelled and failed transfers left. */
export class WorkerLeftovers {
  readonly #core: Core;
  /** When one is tried again (milliseconds since the epoch), where the ledger could not be told. */
  readonly #untold = new Map<string, number>();

  constructor(core: Core) {
    this.#core = core;
  }

  /** Tries each whose time it is. Throws only when they cannot be looked up. */
  async drop(): Promise<void> {
    const { clock } = this.#core;
    for (const row of rowsWithLeftovers(this.#core)) {
      const now = clock.now();
      const notBefore = Math.max(row.retry_at ?? 0, this.#untold.get(row.id) ?? 0);
      if (notBefore > now || runnerOf(row, now) !== null) continue;
      try {
        await dropLeftovers(this.#core, row.id);
      } catch (error) {
        this.#later(row.id, clock.now() + (canHeal(asFailure(error).failure) ? HEALS_MS : STAYS_MS));
      }
    }
  }

  #later(id: string, at: number): void {
    try {
      noteNextTry(this.#core.ledger, id, at, false);
    } catch {
      this.#untold.set(id, at);
    }
  }
}
