import { promisify } from "node:util";
import type { Command } from "commander";
import type { Failure } from "../src-contract/failure.ts";
import type { TransferApi, TransferQueue, TransferSummary } from "../src-contract/transfers.ts";
import { painter } from "./paint.ts";
import { type Session, wantsJson } from "./session.ts";
import { jsonView, plainView, type TransferView, terminalView } from "./transfer-view.ts";

const LOOK_MS = 500;

export const delay = promisify(setTimeout);

/** The view that fits where the results go. */
export function viewFor(command: Command, { output, surroundings }: Session): TransferView {
  if (wantsJson(command)) return jsonView(output);
  const canDraw = output.resultsAreTerminal && surroundings.env.TERM !== "dumb";
  if (!canDraw) return plainView(output);
  return terminalView(output, painter(output, surroundings.env), surroundings.signal);
}

/** Whether a transfer runs, or will without anybody's doing. */
export function isGoingOn({ transfers, workers }: TransferQueue): boolean {
  return transfers.some(
    ({ process, state }) =>
      process !== null || (workers.length > 0 && (state === "queued" || state === "waiting")),
  );
}

/**
 * Shows what goes on in the queue until `done`, looked at each time, or `ended` settles. Answers with the last look, or with what kept it from
 * looking.
 */
export async function watchQueue(
  vault: Pick<TransferApi, "transfersList">,
  view: TransferView,
  done: (queue: TransferQueue) => boolean,
  ended: Promise<unknown>,
): Promise<{ readonly queue: TransferQueue } | { readonly failure: Failure }> {
  const since = new Date().toISOString();
  const told = new Set<string>();
  const stop = new AbortController();
  const settled = ended.finally(() => stop.abort()).catch(() => undefined);
  try {
    for (;;) {
      const last = stop.signal.aborted;
      const looked = await vault.transfersList({ since });
      if (!looked.ok) return { failure: looked.failure };
      const isNew = (transfer: TransferSummary) => isOver(transfer) && !told.has(entryOf(transfer));
      const over = looked.value.transfers.filter(isNew);
      for (const transfer of over) told.add(entryOf(transfer));
      const queue = { ...looked.value, transfers: looked.value.transfers.filter((one) => !isOver(one)) };
      await view.show(queue, over.toReversed(), Date.now());
      if (last || done(queue)) return { queue };
      await Promise.race([delay(LOOK_MS), settled]);
    }
  } finally {
    await view.end();
  }
}

function isOver({ state }: TransferSummary): boolean {
  return state === "stored" || state === "received" || state === "cancelled";
}

/** A transfer that is asked for again after it was over has another time of creation. */
function entryOf({ id, created }: TransferSummary): string {
  return `${id} ${created}`;
}
