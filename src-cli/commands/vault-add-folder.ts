import type { Command } from "commander";
import { examples } from "../help-text.ts";
import type { Session } from "../session.ts";
import { visible } from "../terminal-text.ts";
import { fields } from "../text-layout.ts";

interface Options {
  readonly path: string;
}

export function define(command: Command, session: Session): void {
  command
    .argument("<name>", "what to call it")
    .requiredOption("--path <dir>", "the folder")
    .addHelpText(
      "after",
      examples(
        "strongroom vault add folder office --path /mnt/evidence",
        "strongroom vault add folder stick --path /media/usb/evidence",
      ),
    )
    .action((name: string, { path }: Options) =>
      session.perform(command, {
        name: "vaultAddFolder",
        request: { name, path },
        call: (vault, request) => vault.vaultAddFolder(request),
        text: (added) => `${visible(added.name)}\n\n${fields([["Folder", visible(added.location)]])}`,
      }),
    );
}
