import type { Command } from "commander";
import { examples } from "../help-text.ts";
import { PACKAGE_COLUMNS } from "../package-text.ts";
import type { Session } from "../session.ts";
import { table } from "../text-layout.ts";

export function define(command: Command, session: Session): void {
  command
    .argument("[engagement]", "only this engagement's packages")
    .addHelpText(
      "after",
      examples(
        "strongroom package list",
        "strongroom package list acme-2026",
        "strongroom package list --json",
      ),
    )
    .action((engagement: string | undefined) =>
      session.perform(command, {
        name: "packageList",
        request: { engagement },
        call: (vault, request) => vault.packageList(request),
        text: (packages) =>
          table(
            packages,
            PACKAGE_COLUMNS,
            "No packages yet. Seal one: strongroom package build <engagement> <path...> --name NAME",
          ),
      }),
    );
}
