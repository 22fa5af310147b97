import type { Command } from "commander";
import type { TransferSummary } from "../../src-contract/transfers.ts";
import { parseWhole } from "../amount-option.ts";
import { examples } from "../help-text.ts";
import { sizeText } from "../human-text.ts";
import type { Session } from "../session.ts";
import { whatText } from "../transfer-text.ts";

interface Options {
  readonly priority?: number;
}

function resumedText(transfer: TransferSummary): string {
  const { state, process, bytesTotal } = transfer;
  if (state === "stored" || state === "received") {
    const size = bytesTotal === null ? "" : `, ${sizeText(bytesTotal)}`;
    return `${state === "stored" ? "Stored" : "Received"}: ${whatText(transfer)}${size}\n`;
  }
  return process === null
    ? `Queued: ${whatText(transfer)}; the agent goes on with it. Look on with: strongroom transfers watch\n`
    : `Under way: ${whatText(transfer)}, by process ${process.pid}. Look on with: strongroom transfers watch\n`;
}

export function define(command: Command, session: Session): void {
  command
    .argument("<transfer>", "the transfer's id, or its first characters")
    .option("--priority <number>", "from -100 to 100; higher goes first", parseWhole)
    .addHelpText(
      "after",
      `
Where an agent runs, it goes on with the transfer; else this command does, to its end.
${examples("strongroom transfers resume 5b21c0de", "strongroom transfers resume 5b21c0de --priority 10")}`,
    )
    .action((transfer: string, { priority }: Options) =>
      session.perform(command, {
        name: "transferResume",
        request: { transfer, priority },
        call: (vault, request, options) => vault.transferResume(request, options),
        text: resumedText,
      }),
    );
}
