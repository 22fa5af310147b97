import type { Command } from "commander";
import {
  addCredentialOptions,
  type CredentialOptions,
  performWithSecret,
  SECRET_HELP,
} from "../given-credentials.ts";
import { examples } from "../help-text.ts";
import type { Session } from "../session.ts";

export function define(command: Command, session: Session): void {
  addCredentialOptions(command.argument("<name>", "the vault's name"))
    .addHelpText(
      "after",
      `\nThe new credentials replace the old ones once the store has accepted them.\n${SECRET_HELP}${examples(
        "strongroom vault set-credentials lake --access-key-id AKIA...",
        "strongroom vault set-credentials lake --access-key-id ASIA... --with-session-token",
        "strongroom vault set-credentials lake --credentials profile:audit",
      )}`,
    )
    .action((name: string, options: CredentialOptions) =>
      performWithSecret(command, session, options, {
        name: "vaultSetCredentials",
        request: { name },
        call: (vault, request) => vault.vaultSetCredentials(request),
      }),
    );
}
