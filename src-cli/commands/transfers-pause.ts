import type { Command } from "commander";
import type { TransferSummary } from "../../src-contract/transfers.ts";
import { examples } from "../help-text.ts";
import type { Session } from "../session.ts";
import { amountDone, shortId, whatText } from "../transfer-text.ts";

function pausedText(transfer: TransferSummary): string {
  const { state, wish, process } = transfer;
  if (wish === "pause" && process !== null) {
    return `Asked for: process ${process.pid} pauses ${whatText(transfer)} as soon as it can.\n`;
  }
  if (state !== "paused") return `Too late to pause ${whatText(transfer)}: it is ${state}.\n`;
  return `Paused: ${whatText(transfer)}, ${amountDone(transfer)}. Let it go on with: strongroom transfers resume ${shortId(transfer)}\n`;
}

export function define(command: Command, session: Session): void {
  command
    .argument("<transfer>", "the transfer's id, or its first characters")
    .addHelpText(
      "after",
      `
What was transferred so far is kept. It stays paused, whatever is restarted, until
it is resumed, or pushed or pulled by name.
${examples("strongroom transfers list", "strongroom transfers pause 5b21c0de")}`,
    )
    .action((transfer: string) =>
      session.perform(command, {
        name: "transferPause",
        request: { transfer },
        call: (vault, request, options) => vault.transferPause(request, options),
        text: pausedText,
      }),
    );
}
