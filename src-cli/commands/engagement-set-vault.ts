import type { Command } from "commander";
import { examples } from "../help-text.ts";
import type { Session } from "../session.ts";
import { visible } from "../terminal-text.ts";
import { fields } from "../text-layout.ts";

export function define(command: Command, session: Session): void {
  command
    .argument("<id>", "the engagement's id")
    .argument("<vault>", "the vault's name")
    .addHelpText("after", examples("strongroom engagement set-vault acme-2026 office"))
    .action((id: string, vaultName: string) =>
      session.perform(command, {
        name: "engagementSetVault",
        request: { id, vault: vaultName },
        call: (vault, request) => vault.engagementSetVault(request),
        text: (engagement) =>
          `${visible(engagement.id)}\n\n${fields([["Vault", visible(engagement.vault ?? "none")]])}`,
      }),
    );
}
