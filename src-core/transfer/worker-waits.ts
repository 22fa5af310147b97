import type { Failure } from "../../src-contract/failure.ts";
import type { Db } from "../catalog/database.ts";

/** What a worker waits out although the ledger does not say so. */
interface UntoldWait {
  readonly failure: Failure;
  /** Milliseconds since the epoch. */
  readonly retryAt: number;
}

const waits = new WeakMap<Db, Map<string, UntoldWait>>();

/**
 * Remembers why a transfer waits where the ledger itself is what cannot be written, until the answered function is called. Whoever looks at the queue
 * through the same open ledger is told, such as the agent that shows its own work; other processes are not.
 */
export function tellUntold(ledger: Db, id: string, wait: UntoldWait): () => void {
  const known = waits.get(ledger) ?? new Map<string, UntoldWait>();
  waits.set(ledger, known.set(id, wait));
  return () => {
    if (known.get(id) === wait) known.delete(id);
  };
}

export function untoldWait(ledger: Db, id: string): UntoldWait | null {
  return waits.get(ledger)?.get(id) ?? null;
}
