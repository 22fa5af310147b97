import type { Command } from "commander";
import { examples } from "../help-text.ts";
import { packageFields } from "../package-text.ts";
import type { Session } from "../session.ts";
import { visible } from "../terminal-text.ts";
import { fields } from "../text-layout.ts";

export function define(command: Command, session: Session): void {
  command
    .argument("<path>", "a sealed .tar or an unpacked bag, with its .seal.json beside it")
    .addHelpText("after", examples("strongroom package import ./received/fieldwork-week-1.tar"))
    .action((path: string) =>
      session.perform(command, {
        name: "packageImport",
        request: { path },
        call: (vault, request, options) => vault.packageImport(request, options),
        text: (imported) => `${visible(imported.id)}\n\n${fields(packageFields(imported))}`,
      }),
    );
}
