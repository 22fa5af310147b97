import { type Command, Option } from "commander";
import { EXPORT_FORMATS, type ExportFormat } from "../../src-contract/vault-api.ts";
import { examples } from "../help-text.ts";
import { amountText } from "../human-text.ts";
import type { Session } from "../session.ts";
import { visible } from "../terminal-text.ts";
import { fields } from "../text-layout.ts";

interface Options {
  readonly format: ExportFormat;
  readonly out: string;
}

export function define(command: Command, session: Session): void {
  command
    .argument("<package>", "package id, or its first characters")
    .addOption(
      new Option("--format <format>", "form of the list").choices(EXPORT_FORMATS).makeOptionMandatory(),
    )
    .requiredOption("--out <file>", "file to write; it must not exist yet")
    .addHelpText(
      "after",
      examples(
        "strongroom manifest export 0197f3a2 --format csv --out files.csv",
        "strongroom manifest export 0197f3a2 --format sha256sum --out SHA256SUMS",
      ),
    )
    .action((reference: string, { format, out }: Options) =>
      session.perform(command, {
        name: "manifestExport",
        request: { package: reference, format, out },
        call: (vault, request, options) => vault.manifestExport(request, options),
        text: (exported) =>
          `${visible(exported.out)}\n\n${fields([
            ["Format", exported.format],
            ["Files", amountText(exported.files, "file")],
            ["SHA-256", visible(exported.sha256)],
          ])}`,
      }),
    );
}
