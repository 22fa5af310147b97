import type { Command } from "commander";
import type { HealthProbe, VaultHealth } from "../../src-contract/vault-api.ts";
import { examples } from "../help-text.ts";
import { sizeText } from "../human-text.ts";
import type { Paint } from "../paint.ts";
import type { Session } from "../session.ts";
import { visible } from "../terminal-text.ts";
import { fields, table, wrapped } from "../text-layout.ts";

/** What is left of 80 columns beside the longest name and result. */
const DETAIL_COLUMNS = 45;

type ProbeLine = readonly [name: string, result: string, detail: string];

const PROBE_COLUMNS = [
  { heading: "  PROBE", cell: ([name]: ProbeLine) => `  ${name}` },
  { heading: "RESULT", cell: ([, result]: ProbeLine) => result },
  { heading: "DETAIL", cell: ([, , detail]: ProbeLine) => detail },
];

function probeLines({ name, result, detail }: HealthProbe): readonly ProbeLine[] {
  const [first = "", ...more] = wrapped(visible(detail), DETAIL_COLUMNS);
  return [[name, result, first], ...more.map((line) => ["", "", line] as const)];
}

function healthText(health: VaultHealth, paint: Paint): string {
  const verdict = health.fit ? paint("good", "FIT") : paint("bad", "NOT FIT");
  const summary = fields([
    ["Free space", health.freeBytes === null ? "not told" : sizeText(health.freeBytes)],
    ["Largest file", health.maxFileBytes === null ? "no known limit" : sizeText(health.maxFileBytes)],
  ]);
  const lines = health.probes.flatMap(probeLines);
  return `${verdict}\n\n${summary}\n${table(lines, PROBE_COLUMNS, "  Nothing was probed.")}`;
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
