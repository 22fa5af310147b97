import type { HealthProbe } from "../src-contract/vault-api.ts";
import { visible } from "./terminal-text.ts";
import { table, wrapped } from "./text-layout.ts";

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

/** A table of what health checks found. */
export function probesText(probes: readonly HealthProbe[]): string {
  return table(probes.flatMap(probeLines), PROBE_COLUMNS, "  Nothing was probed.");
}
