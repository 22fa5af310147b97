import type { Command } from "commander";
import type { TransferSummary } from "../../src-contract/transfers.ts";
import { examples } from "../help-text.ts";
import type { Session } from "../session.ts";
import { whatText } from "../transfer-text.ts";

function cancelledText(transfer: TransferSummary): string {
  const { state, wish, process } = transfer;
  if (wish === "cancel" && process !== null) {
    return `Asked for: process ${process.pid} ends ${whatText(transfer)} as soon as it can.\n`;
  }
  return state === "cancelled"
    ? `Cancelled: ${whatText(transfer)}\n`
    : `Too late to cancel ${whatText(transfer)}: it is ${state}.\n`;
}

export function define(command: Command, session: Session): void {
  command
    .argument("<transfer>", "the transfer's id, or its first characters")
    .addHelpText(
      "after",
      `
What was transferred so far is dropped, in the vault too. The package itself stays
as it is, and nothing that is stored is touched.
${examples("strongroom transfers list", "strongroom transfers cancel 5b21c0de")}`,
    )
    .action((transfer: string) =>
      session.perform(command, {
        name: "transferCancel",
        request: { transfer },
        call: (vault, request, options) => vault.transferCancel(request, options),
        text: cancelledText,
      }),
    );
}
