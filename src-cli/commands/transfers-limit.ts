import type { Command } from "commander";
import { limitOf, parseRate, type Rate } from "../amount-option.ts";
import { examples } from "../help-text.ts";
import { sizeText } from "../human-text.ts";
import type { Session } from "../session.ts";

function limitText({ bytesPerSecond }: { readonly bytesPerSecond: number | null }): string {
  return bytesPerSecond === null
    ? "No limit.\n"
    : `At most ${sizeText(bytesPerSecond)} per second, of all transfers of a process together.\n`;
}

export function define(command: Command, session: Session): void {
  command
    .argument(
      "[bytesPerSecond]",
      "such as 5MiB or 500kB (per second), or off; shown when not given",
      parseRate,
    )
    .addHelpText(
      "after",
      `
Kept for all transfers, both ways; running ones follow within a second.
'package push --limit' and 'package pull --limit' are for one run alone.
${examples("strongroom transfers limit 5MiB", "strongroom transfers limit off", "strongroom transfers limit")}`,
    )
    .action((rate: Rate | undefined) => {
      const bytesPerSecond = limitOf(rate);
      return bytesPerSecond === undefined
        ? session.perform(command, {
            name: "transfersList",
            request: {},
            call: (vault, request) => vault.transfersList(request),
            text: limitText,
          })
        : session.perform(command, {
            name: "transfersSetLimit",
            request: { bytesPerSecond },
            call: (vault, request) => vault.transfersSetLimit(request),
            text: limitText,
          });
    });
}
