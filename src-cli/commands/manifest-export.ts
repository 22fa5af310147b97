import { type Command, Option } from "commander";
import { EXPORT_FORMATS, type ExportFormat } from "../../src-contract/vault-api.ts";
import { examples } from "../help-text.ts";
import { countText } from "../human-text.ts";
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
      `\nThe list is held against the seal before it is written.
csv: UTF-8 without byte order mark; a value that a spreadsheet would take for a formula gets a ' in front.
sha256sum: for 'sha256sum -c FILE', run in the unpacked package's folder.
html: one page for people; it runs no script and loads nothing.\n${examples(
        "strongroom manifest export 0197f3a2 --format csv --out files.csv",
        "strongroom manifest export 0197f3a2 --format sha256sum --out SHA256SUMS",
      )}`,
    )
    .action((reference: string, { format, out }: Options) =>
      session.perform(command, {
        name: "manifestExport",
        request: { package: reference, format, out },
        call: (vault, request, options) => vault.manifestExport(request, options),
        text: (exported) =>
          `${visible(exported.out)}\n\n${fields([
            ["Format", exported.format],
            ["Files", countText(exported.files)],
            ["SHA-256", visible(exported.sha256)],
          ])}`,
      }),
    );
}
