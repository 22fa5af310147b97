import type { Command } from "commander";
import type { VaultHealth } from "../../src-contract/vault-api.ts";
import { examples } from "../help-text.ts";
import { sizeText } from "../human-text.ts";
import type { Paint } from "../paint.ts";
import { probesText } from "../probe-text.ts";
import type { Session } from "../session.ts";
import { fields } from "../text-layout.ts";

function healthText(health: VaultHealth, paint: Paint): string {
  const verdict = health.fit ? paint("good", "FIT") : paint("bad", "NOT FIT");
  const summary = fields([
    ["Free space", health.freeBytes === null ? "not told" : sizeText(health.freeBytes)],
    ["Largest file", health.maxFileBytes === null ? "no known limit" : sizeText(health.maxFileBytes)],
  ]);
  return `${verdict}\n\n${summary}\n${probesText(health.probes)}`;
}

export function define(command: Command, session: Session): void {
  command
    .argument("<name>", "the vault's name")
    .addHelpText(
      "after",
      `\nExit code 0: fit to hold packages. 2: not fit, or could not be tried.\n${examples("strongroom vault health office", "strongroom vault health lake --credentials profile:audit")}`,
    )
    .action((name: string) =>
      session.perform(command, {
        name: "vaultHealth",
        request: { name },
        call: (vault, request) => vault.vaultHealth(request),
        text: healthText,
        judge: (health) => (health.fit ? 0 : 2),
      }),
    );
}
