import { type Command, Option } from "commander";
import { examples } from "../help-text.ts";
import { amountText, sizeText } from "../human-text.ts";
import type { Session } from "../session.ts";
import { visible } from "../terminal-text.ts";

interface Options {
  readonly to: string;
  readonly file?: string;
  readonly as: "bag" | "tar";
}

export function define(command: Command, session: Session): void {
  command
    .argument("<package>", "package id, or its first characters")
    .requiredOption("--to <dir>", "folder to write to")
    .option("--file <path>", "only this file of the package (data/...)")
    .addOption(
      new Option("--as <form>", "an unpacked bag or the sealed archive")
        .choices(["bag", "tar"])
        .default("bag"),
    )
    .addHelpText(
      "after",
      examples(
        "strongroom package pull 0197f3a2 --to ./review",
        "strongroom package pull 0197f3a2 --to ./review --as tar",
        "strongroom package pull 0197f3a2 --to ./review --file data/exports/users.csv",
      ),
    )
    .action((reference: string, { to, file, as }: Options) =>
      session.perform(command, {
        name: "packagePull",
        request: { package: reference, to, file, as },
        call: (vault, request, options) => vault.packagePull(request, options),
        text: (pulled) =>
          `${visible(pulled.path)}\n\n  ${amountText(pulled.files, "file")}, ${sizeText(pulled.bytes)}\n`,
      }),
    );
}
