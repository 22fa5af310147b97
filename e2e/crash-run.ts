import type { ChildProcess } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate, setTimeout } from "node:timers/promises";
import Database from "better-sqlite3";
import { stateReader } from "./crash-journal.ts";
import type { Desk, Finished } from "./run-cli.ts";

/**
 * When to end a process: at a step of a journal state, from within (crash-hook.ts); as soon as another process sees the state in the
 * ledger; or after so many milliseconds, whatever it does then.
 */
export type Moment =
  | { readonly how: "step"; readonly step: string }
  | { readonly how: "seen"; readonly state: string }
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

/** Runs a command and ends it with SIGKILL at a moment. */
export async function killAt(desk: Desk, args: readonly string[], moment: Moment): Promise<Killed> {
  let pid = 0;
  const env = moment.how === "step" ? hooked({ STRONGROOM_CRASH_AT: moment.step }) : {};
  const finished = await desk.run(args, {
    env,
    onStart: async (child) => {
      pid = child.pid ?? 0;
      if (moment.how === "seen") await killWhenSeen(desk, child, moment.state);
      if (moment.how === "random") await killLater(child, moment.after);
    },
  });
  if (finished.signal !== "SIGKILL") return { ...finished, killed: false, state: null };
  const ledger = openLedger(desk);
  const state = stateReader(ledger, pid)();
  ledger.close();
  return { ...finished, killed: true, state };
}

export interface Trace {
  /** All steps in the order in which they came, as "build signing:2". */
  readonly steps: readonly string[];
  /** Of the whole command, in milliseconds. */
  readonly duration: number;
}

/** Runs a command to its end and writes down its steps. */
export async function traceSteps(desk: Desk, args: readonly string[]): Promise<Trace> {
  const file = desk.path("steps.txt");
  const began = performance.now();
  const finished = await desk.run(args, { env: hooked({ STRONGROOM_CRASH_TRACE: file }) });
  const duration = performance.now() - began;
  if (finished.exitCode !== 0) throw new Error(`${args.join(" ")}: ${finished.err}`);
  const steps = (await readFile(file, "utf8")).trim().split("\n");
  await rm(file);
  return { steps, duration };
}
