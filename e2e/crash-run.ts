import type { ChildProcess } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate, setTimeout } from "node:timers/promises";
import Database from "better-sqlite3";
import { stateReader } from "./crash-journal.ts";
import type { Desk, Finished } from "./run-cli.ts";
import type { RuleOptions } from "./support/fault.ts";
import type { Exchange } from "./support/fault-exchange.ts";
import type { FaultProxy } from "./support/fault-proxy.ts";

/**
 * When to end a process: at a step of a journal state, from within (crash-hook.ts); as soon as another process sees the state in the
 * ledger; at the nth request to its store, counted from 1, once that has arrived and is not executed, or once it was executed and is not
 * answered; or after so many milliseconds, whatever it does then.
 */
export type Moment =
  | { readonly how: "step"; readonly step: string }
  | { readonly how: "seen"; readonly state: string }
  | { readonly how: "request"; readonly nth: number; readonly when: "arrived" | "executed" }
  | { readonly how: "random"; readonly after: number };

export interface Killed extends Finished {
  /** False when the process ended by itself before. */
  readonly killed: boolean;
  /** The state that the ledger still shows of the killed process, as "build hashing"; null when it shows none. */
  readonly state: string | null;
}

const HOOK = new URL("./crash-hook.ts", import.meta.url).href;

function hooked(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { ...env, NODE_OPTIONS: `--import=${HOOK}` };
}

function openLedger(desk: Desk): Database.Database {
  return new Database(join(desk.home, "ledger.db"), { readonly: true, timeout: 10_000 });
}

/** Looks into the ledger from outside, as often as it can, and kills as soon as the state is there. */
async function killWhenSeen(desk: Desk, child: ChildProcess, state: string): Promise<void> {
  const ledger = openLedger(desk);
  try {
    const read = stateReader(ledger, child.pid ?? 0);
    while (child.exitCode === null && child.signalCode === null) {
      if (read() === state) {
        child.kill("SIGKILL");
        return;
      }
      await setImmediate();
    }
  } finally {
    ledger.close();
  }
}

async function killLater(child: ChildProcess, milliseconds: number): Promise<void> {
  await setTimeout(milliseconds);
  child.kill("SIGKILL");
}

/** The rule of a proxy that ends a process at a request. */
function killingRule(
  { nth, when }: { nth: number; when: "arrived" | "executed" },
  kill: () => void,
): RuleOptions {
  if (when === "arrived") return { nth, before: kill, fault: { kind: "black-hole" } };
  return { nth, fault: { kind: "rewrite", change: kill } };
}

/** Runs a command and ends it with SIGKILL at a moment; for one at a request, `proxy` is what the command takes for its store. */
export async function killAt(
  desk: Desk,
  args: readonly string[],
  moment: Moment,
  proxy?: FaultProxy,
): Promise<Killed> {
  let running: ChildProcess | undefined;
  if (moment.how === "request") proxy?.rule(killingRule(moment, () => void running?.kill("SIGKILL")));
  const env = moment.how === "step" ? hooked({ STRONGROOM_CRASH_AT: moment.step }) : {};
  const finished = await desk.run(args, {
    env,
    onStart: async (child) => {
      running = child;
      if (moment.how === "seen") await killWhenSeen(desk, child, moment.state);
      if (moment.how === "random") await killLater(child, moment.after);
    },
  });
  proxy?.clearRules();
  if (finished.signal !== "SIGKILL") return { ...finished, killed: false, state: null };
  const ledger = openLedger(desk);
  const state = stateReader(ledger, running?.pid ?? 0)();
  ledger.close();
  return { ...finished, killed: true, state };
}

export interface Trace {
  /** All steps in the order in which they came, as "build signing:2". */
  readonly steps: readonly string[];
  /** Of the whole command, in milliseconds. */
  readonly duration: number;
  /** Requests to its store, in order; none for a vault in a folder. */
  readonly requests: readonly Exchange[];
}

/** Runs a command to its end and writes down its steps. */
export async function traceSteps(desk: Desk, args: readonly string[], proxy?: FaultProxy): Promise<Trace> {
  const file = desk.path("steps.txt");
  proxy?.forget();
  const began = performance.now();
  const finished = await desk.run(args, { env: hooked({ STRONGROOM_CRASH_TRACE: file }) });
  const duration = performance.now() - began;
  if (finished.exitCode !== 0) throw new Error(`${args.join(" ")}: ${finished.err}`);
  const steps = (await readFile(file, "utf8")).trim().split("\n");
  await rm(file);
  return { steps, duration, requests: [...(proxy?.exchanges ?? [])] };
}
