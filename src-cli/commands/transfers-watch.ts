import type { Command } from "commander";
import { examples } from "../help-text.ts";
import { painter } from "../paint.ts";
import { type Session, wantsJson } from "../session.ts";
import { queueText } from "../transfer-text.ts";
import { isGoingOn, viewFor, watchQueue } from "../transfer-watch.ts";

interface Options {
  readonly forever?: boolean;
}

/** Settles when the user stops it, which is how looking on usually ends. */
function stopped(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

async function watch(command: Command, session: Session, { forever }: Options): Promise<void> {
  const { output, surroundings } = session;
  const outcome = await session.withVault(command, "transfersList", {}, async (vault) => {
    const done = (queue: Parameters<typeof isGoingOn>[0]) => forever !== true && !isGoingOn(queue);
    const end = await watchQueue(vault, viewFor(command, session), done, stopped(surroundings.signal));
    return "failure" in end
      ? { ok: false as const, failure: end.failure }
      : { ok: true as const, value: end.queue };
  });
  if (!outcome.ok) return await session.fail(wantsJson(command), outcome.failure);
  if (wantsJson(command)) return;
  const { value } = outcome;
  const nothing = value.transfers.length === 0;
  await output.result(
    nothing ? "Nothing runs any more.\n" : queueText(value, Date.now(), painter(output, surroundings.env)),
  );
}

export function define(command: Command, session: Session): void {
  command
    .option("--forever", "go on when nothing runs any more")
    .addHelpText(
      "after",
      `
Shows what runs, how fast, and what is waited for, until nothing runs any more.
Piped, it writes a line for every change; with --json a document in one line.
${examples("strongroom transfers watch", "strongroom transfers watch --forever --json")}`,
    )
    .action((options: Options) => watch(command, session, options));
}
