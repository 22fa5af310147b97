import type { Command } from "commander";
import { examples } from "../help-text.ts";
import type { Session } from "../session.ts";
import { queueText } from "../transfer-text.ts";

interface Options {
  readonly all?: boolean;
}

export function define(command: Command, session: Session): void {
  command
    .argument("[engagement]", "only this engagement's transfers")
    .option("--all", "also those that are stored, received or cancelled")
    .addHelpText(
      "after",
      `
In the order in which they are run: higher priority first, then the older one.
queued, waiting (for what time heals), paused (by you), stopped (by what time
does not heal), failed (would begin anew); sending, receiving and checking now.
${examples("strongroom transfers list", "strongroom transfers list acme-2026 --all")}`,
    )
    .action((engagement: string | undefined, { all }: Options) =>
      session.perform(command, {
        name: "transfersList",
        request: { engagement, all: all === true },
        call: (vault, request) => vault.transfersList(request),
        text: (queue, paint) => queueText(queue, Date.now(), paint),
      }),
    );
}
