import type { Command } from "commander";
import type { QueueRun } from "../../src-contract/transfers.ts";
import { examples } from "../help-text.ts";
import { amountText } from "../human-text.ts";
import { jsonText } from "../json-text.ts";
import { type Session, wantsJson } from "../session.ts";
import { delay, viewFor, watchQueue } from "../transfer-watch.ts";

interface Options {
  readonly untilEmpty?: boolean;
}

/** By then it is known whether the work has begun at all, milliseconds. */
const BEGUN_MS = 500;

function runText({ done, stopped, paused, left }: QueueRun): string {
  const parts = [`${amountText(done, "transfer")} done`];
  if (stopped > 0) parts.push(`${stopped} stopped (strongroom transfers list)`);
  if (paused > 0) parts.push(`${paused} paused`);
  if (left > 0) parts.push(`${left} left for the next run`);
  return `${parts.join(", ")}.\n`;
}

async function work(command: Command, session: Session, options: Options): Promise<void> {
  const untilEmpty = options.untilEmpty === true;
  const json = wantsJson(command);
  const outcome = await session.withVault(command, "runQueue", { untilEmpty }, async (vault, { signal }) => {
    const run = vault.runQueue({ untilEmpty }, signal === undefined ? {} : { signal });
    const early = await Promise.race([run, delay(BEGUN_MS)]);
    if (early?.ok === false) return early;
    if (!json) await session.output.note("Does what is queued. Stop it with Ctrl-C: everything is kept.\n");
    await watchQueue(vault, viewFor(command, session), () => false, run);
    return await run;
  });
  if (!outcome.ok) return await session.fail(json, outcome.failure);
  session.exitCode = untilEmpty && outcome.value.stopped > 0 ? 2 : 0;
  await session.output.result(json ? `${jsonText(outcome)}\n` : runText(outcome.value));
}

export function define(command: Command, session: Session): void {
  command
    .option("--until-empty", "end once nothing is left that time alone can do")
    .addHelpText(
      "after",
      `
Does all that is queued, two at a time, by priority, and what is queued while it
runs. It waits for as long as it takes for a vault that cannot be reached; what
time does not heal is stopped with its cause, until: strongroom transfers resume.
One runs per state folder. docs/operations.md says how to start it with the system.

Exit code 0: told to stop, or the queue is empty. 2: with --until-empty,
transfers are stopped and need you; or it could not run.
${examples("strongroom agent", "strongroom agent --until-empty", "strongroom package push 0197f3a2 --detach")}`,
    )
    .action((options: Options) => work(command, session, options));
}
