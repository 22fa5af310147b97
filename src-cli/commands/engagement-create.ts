import type { Command } from "commander";
import { examples } from "../help-text.ts";
import type { Session } from "../session.ts";
import { visible } from "../terminal-text.ts";

interface Options {
  readonly name?: string;
  readonly client?: string;
  readonly vault?: string;
}

export function define(command: Command, session: Session): void {
  command
    .argument("<id>", "short name of the audit: a-z, 0-9 and -")
    .option("--name <text>", "full name (default: the id)")
    .option("--client <text>", "who is audited")
    .option("--vault <name>", "vault where its packages are kept")
    .addHelpText(
      "after",
      examples(
        "strongroom engagement create acme-2026",
        'strongroom engagement create acme-2026 --name "ACME access audit" --client "ACME Ltd" --vault office',
      ),
    )
    .action((id: string, { name, client, vault: vaultName }: Options) =>
      session.perform(command, {
        name: "engagementCreate",
        request: { id, name, client, vault: vaultName },
        call: (vault, request) => vault.engagementCreate(request),
        text: (engagement) => `${visible(engagement.id)}\n`,
      }),
    );
}
