import type { Command } from "commander";
import { backupText } from "../backup-text.ts";
import { examples } from "../help-text.ts";
import type { Session } from "../session.ts";

interface Options {
  readonly from: string;
}

export function define(command: Command, session: Session): void {
  command
    .requiredOption("--from <dir>", "a folder that backup wrote")
    .addHelpText(
      "after",
      `\nRestores into a state folder that holds nothing yet, or whose ledger was lost: packages that are there stay.\n${examples(
        "strongroom restore --from /media/stick/strongroom-backup",
        "STRONGROOM_HOME=/tmp/look strongroom restore --from ./strongroom-backup",
      )}`,
    )
    .action(({ from }: Options) =>
      session.perform(command, {
        name: "restore",
        request: { from },
        call: (vault, request, options) => vault.restore(request, options),
        text: (result) => backupText("Restored from", result),
      }),
    );
}
