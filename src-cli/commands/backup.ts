import type { Command } from "commander";
import { backupText } from "../backup-text.ts";
import { examples } from "../help-text.ts";
import type { Session } from "../session.ts";

interface Options {
  readonly to: string;
}

export function define(command: Command, session: Session): void {
  command
    .requiredOption("--to <dir>", "the folder in which the backup makes one of its own")
    .addHelpText(
      "after",
      `\nHolds the ledger, and every package that is in no vault yet.\n${examples("strongroom backup --to /media/stick/strongroom-backup")}`,
    )
    .action(({ to }: Options) =>
      session.perform(command, {
        name: "backup",
        request: { to },
        call: (vault, request, options) => vault.backup(request, options),
        text: (result) => backupText("Backed up to", result),
      }),
    );
}
