import { type Command, Option } from "commander";
import { limitOf, parseRate, type Rate } from "../amount-option.ts";
import { examples } from "../help-text.ts";
import { amountText, sizeText } from "../human-text.ts";
import type { Session } from "../session.ts";
import { visible } from "../terminal-text.ts";
import { fields } from "../text-layout.ts";

interface Options {
  readonly to: string;
  readonly file?: string;
  readonly as: "bag" | "tar";
  readonly limit?: Rate;
}

export function define(command: Command, session: Session): void {
  command
    .argument("<package>", "package id, or its first characters")
    .requiredOption("--to <dir>", "folder to write to")
    .option("--file <path>", "only this file of the package (data/...)")
    .addOption(
      new Option("--as <form>", "an unpacked bag or the sealed archive")
        .choices(["bag", "tar"])
        .conflicts("file")
        .default("bag"),
    )
    .option("--limit <rate>", "such as 5MiB (per second), or off; for this run alone", parseRate)
    .addHelpText(
      "after",
      `\nWhat arrives is held against the seal; a whole package brings its seal and signatures along. Nothing is overwritten.\nOf a package that was sealed elsewhere, a bag's files are also held against its manifests; of a tar, by 'strongroom verify'.\n${examples(
        "strongroom package pull 0197f3a2 --to ./review",
        "strongroom package pull 0197f3a2 --to ./review --as tar",
        "strongroom package pull 0197f3a2 --to ./review --file data/exports/users.csv",
      )}`,
    )
    .action((reference: string, { to, file, as, limit }: Options) =>
      session.perform(command, {
        name: "packagePull",
        request: { package: reference, to, file, as, limit: limitOf(limit) },
        call: (vault, request, options) => vault.packagePull(request, options),
        text: (pulled) =>
          `${visible(pulled.path)}\n\n${fields([
            [
              "Written",
              file === undefined && as === "bag" ? `a bag of ${amountText(pulled.files, "file")}` : "1 file",
            ],
            ["Read", `${sizeText(pulled.bytes)}, all as sealed`],
          ])}`,
      }),
    );
}
