import type { Command } from "commander";
import type { HealthProbe, VaultHealth } from "../../src-contract/vault-api.ts";
import { examples } from "../help-text.ts";
import { sizeText } from "../human-text.ts";
import type { Paint } from "../paint.ts";
import type { Session } from "../session.ts";
import { visible } from "../terminal-text.ts";
import { fields, table } from "../text-layout.ts";

const PROBE_COLUMNS = [
  { heading: "  PROBE", cell: (probe: HealthProbe) => `  ${probe.name}` },
  { heading: "RESULT", cell: (probe: HealthProbe) => probe.result },
  { heading: "DETAIL", cell: (probe: HealthProbe) => visible(probe.detail) },
];

function healthText(health: VaultHealth, paint: Paint): string {
  const verdict = health.fit ? paint("good", "FIT") : paint("bad", "NOT FIT");
  const summary = fields([
    ["Free space", health.freeBytes === null ? "unknown" : sizeText(health.freeBytes)],
    ["Largest file", health.maxFileBytes === null ? "no known limit" : sizeText(health.maxFileBytes)],
  ]);
  return `${verdict}\n\n${summary}\n${table(health.probes, PROBE_COLUMNS, "  Nothing was probed.")}`;
}

export function define(command: Command, session: Session): void {
  command
    .argument("<name>", "the vault's name")
    .addHelpText(
      "after",
      `\nExit code 0: fit to hold packages. 2: not fit, or could not be tried.\n${examples("strongroom vault health office")}`,
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
