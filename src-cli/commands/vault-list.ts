import type { Command } from "commander";
import { examples } from "../help-text.ts";
import type { Session } from "../session.ts";
import { visible } from "../terminal-text.ts";
import { table } from "../text-layout.ts";

export function define(command: Command, session: Session): void {
  command.addHelpText("after", examples("strongroom vault list")).action(() =>
    session.perform(command, {
      name: "vaultList",
      request: {},
      call: (vault, request) => vault.vaultList(request),
      text: (vaults) =>
        table(
          vaults,
          [
            { heading: "NAME", cell: (vault) => visible(vault.name) },
            { heading: "KIND", cell: (vault) => vault.kind },
            { heading: "LOCATION", cell: (vault) => visible(vault.location) },
            { heading: "CREDENTIALS", cell: (vault) => visible(vault.credentials ?? "-") },
          ],
          "No vaults yet. Add one: strongroom vault add folder <name> --path <dir>, or: strongroom vault add s3 --help",
        ),
    }),
  );
}
