import type { Command } from "commander";
import { examples } from "../help-text.ts";
import type { Session } from "../session.ts";
import { visible } from "../terminal-text.ts";

interface Options {
  readonly to: string;
}

export function define(command: Command, session: Session): void {
  command
    .argument("<package>", "package id, or its first characters")
    .requiredOption("--to <dir>", "folder to write to")
    .addHelpText(
      "after",
      `\nWrites the archive, its seal, its signatures, its history and plain instructions for verifying it without Strongroom.\n${examples(
        "strongroom package handover 0197f3a2 --to /media/stick",
      )}`,
    )
    .action((reference: string, { to }: Options) =>
      session.perform(command, {
        name: "packageHandover",
        request: { package: reference, to },
        call: (vault, request, options) => vault.packageHandover(request, options),
        text: (handed) =>
          `${visible(handed.folder)}\n\n${handed.files.map((file) => `  ${visible(file)}\n`).join("")}`,
      }),
    );
}
