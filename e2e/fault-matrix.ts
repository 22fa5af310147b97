import { REPLACED, type Scenario, strikeForGood, strikeOnce, strikeReplaced } from "./fault-cell.ts";
import { isForGood } from "./fault-ends.ts";
import { faultsAt, type NamedFault, type Step } from "./fault-steps.ts";

/** When a fault happens: to one request, to every one that takes a step, or from there on to all. */
type Mode = "once" | "lasting";

/** Cells that are filled by one piece of work. */
export interface CellGroup {
  readonly name: string;
  run(matrix: FaultMatrix): Promise<void>;
}

/**
 * All work that a scenario's part of the matrix takes. With `alone` each cell has a run and a place of its own; else cells share them as far as the
 * one makes the other harder, which takes a fifth of the time.
 */
export function cellGroups(scenario: Scenario, alone = false): readonly CellGroup[] {
  const { steps } = scenario;
  const faults = new Map(steps.flatMap((step) => faultsAt(step)).map((fault) => [fault.name, fault]));
  const groups: CellGroup[] = [];
  for (const fault of faults.values()) {
    if (isForGood(fault)) continue;
    const struck = steps.filter((step) => faultsAt(step).some(({ name }) => name === fault.name));
    for (const some of alone ? struck.map((step) => [step]) : [struck]) {
      groups.push({
        name: `${scenario.name}: ${fault.name}, once at ${counted(some, "step", ({ name }) => name)}`,
        run: (matrix) => strikeOnce(scenario, some, fault, matrix.noting(scenario, "once")),
      });
    }
  }
  for (const step of steps) {
    const all = faultsAt(step);
    for (const some of alone ? all.map((fault) => [fault]) : [all]) {
      groups.push({
        name: `${scenario.name}: ${step.name}, ${counted(some, "fault", ({ name }) => name)} that lasts`,
        run: (matrix) => strikeForGood(scenario, step, some, matrix.noting(scenario, "lasting")),
      });
    }
    if (scenario.replace === undefined || !step.name.includes("range")) continue;
    groups.push({
      name: `${scenario.name}: ${step.name}, the object replaced before it`,
      run: async (matrix) =>
        matrix.note(scenario, "lasting", step, REPLACED, await strikeReplaced(scenario, step)),
    });
  }
  return groups;
}

function counted<T>(items: readonly T[], one: string, nameOf: (item: T) => string): string {
  const [first] = items;
  return items.length === 1 && first !== undefined ? nameOf(first) : `each of ${items.length} ${one}s`;
}

/** How the cells of a matrix came out: rows are faults, columns are steps. */
export class FaultMatrix {
  readonly #scenarios = new Map<string, Scenario>();
  readonly #ends = new Map<string, string>();

  /** Scenarios of which nothing is noted stand in the table too. */
  constructor(scenarios: readonly Scenario[]) {
    for (const scenario of scenarios) this.#scenarios.set(scenario.name, scenario);
  }

  note(scenario: Scenario, mode: Mode, step: Step, fault: string, end: string): void {
    this.#ends.set([scenario.name, mode, step.name, fault].join("\0"), end === scenario.good ? "ok" : end);
  }

  noting(scenario: Scenario, mode: Mode) {
    return (step: Step, { name }: NamedFault, end: string) => this.note(scenario, mode, step, name, end);
  }

  get cells(): number {
    return this.#ends.size;
  }

  table(): string {
    const ends = [...this.#ends.values()];
    const done = ends.filter((end) => end === "ok").length;
    const used = SHORT_ENDS.filter(([end]) => ends.includes(end));
    return [
      `${ends.length} cells, ${done} ok; left of each: the fault happened once at the step, right: for as long as the run lasted`,
      `ok   done, stored right and verified, or said what it would have said without the fault; - cannot be`,
      ...used.map(([end, short, meaning]) => `${short}  ${end}: ${meaning}`),
      ...[...this.#scenarios.values()].flatMap((scenario) => ["", ...this.#part(scenario)]),
    ].join("\n");
  }

  #part(scenario: Scenario): readonly string[] {
    const { steps } = scenario;
    const names = new Set([...steps.flatMap((step) => faultsAt(step)).map(({ name }) => name), REPLACED]);
    const first = Math.max(scenario.name.length, ...[...names].map(({ length }) => length)) + 2;
    const line = (name: string, cells: readonly string[]) =>
      `${name.padEnd(first)}${cells.map((cell, column) => cell.padEnd(Math.max(8, (steps[column]?.name.length ?? 0) + 2))).join("")}`.trimEnd();
    const rows = [...names].map((fault) => ({
      fault,
      cells: steps.map((step) => this.#cell(scenario, step, fault)),
    }));
    return [
      line(
        scenario.name,
        steps.map(({ name }) => name),
      ),
      ...rows
        .filter(({ cells }) => cells.some((cell) => cell !== "-"))
        .map(({ fault, cells }) => line(fault, cells)),
    ];
  }

  #cell(scenario: Scenario, step: Step, fault: string): string {
    const end = (mode: Mode) => this.#ends.get([scenario.name, mode, step.name, fault].join("\0"));
    const [once, lasting] = [end("once"), end("lasting")];
    if (once === undefined && lasting === undefined) return "-";
    return `${shortEnd(once)} ${shortEnd(lasting)}`.trimEnd();
  }
}

const STOPPED = "stopped with this code and the next step";
const SHORT_ENDS: readonly (readonly [string, string, string])[] = [
  ["VAULT_UNREACHABLE", "UNR", "paused: tried as often as a command does, then stopped with the cause"],
  ["CREDENTIALS_REFUSED", "CRD", STOPPED],
  ["CLOCK_SKEWED", "CLK", STOPPED],
  ["PERMISSION_MISSING", "PRM", STOPPED],
  ["OBJECT_CHANGED", "CHG", STOPPED],
  ["OBJECT_CONFLICT", "CNF", "the same damage every time is taken for another object"],
  ["DIGEST_MISMATCH", "DIG", "the same damage every time is taken for damage in the vault"],
  ["SEAL_INVALID", "SEA", "the same damage every time is taken for damage in the vault"],
  ["not valid", "NVL", "the same damage every time is taken for damage in the vault"],
  ["not verified", "NVF", "the record that would attest it comes damaged every time"],
];

function shortEnd(end: string | undefined): string {
  if (end === undefined) return "  ";
  return SHORT_ENDS.find(([name]) => name === end)?.[1] ?? end;
}
