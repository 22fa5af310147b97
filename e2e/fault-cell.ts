import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Failure } from "../src-contract/failure.ts";
import { asFailure } from "../src-core/failing.ts";
import { isForGood, isSilent, mayEnd } from "./fault-ends.ts";
import type { FaultPlace } from "./fault-place.ts";
import { matching, type NamedFault, type Step } from "./fault-steps.ts";

/** A command with a store, to which faults happen. */
export interface Scenario {
  readonly name: string;
  readonly steps: readonly Step[];
  /** The word of a run to which nothing happens; "not valid" where the package is damaged. */
  readonly good: string;
  open(): Promise<FaultPlace>;
  /** Runs the command; answers with what it says in the end, in a word. Throws its failure. */
  run(place: FaultPlace): Promise<string>;
  /** Holds what there is against the word, past the program. */
  checkDone(place: FaultPlace, word: string): Promise<void>;
  /** Looks at what a run left that failed, before the same command is run again. */
  checkStopped(place: FaultPlace, failure: Failure): Promise<void>;
  /** Puts other bytes in the archive's place, or the sealed ones again; absent where the archive is not read or damaged anyway. */
  readonly replace?: (place: FaultPlace, by: "others" | "sealed") => Promise<void>;
}

/** Told how a command ended at a step: by its word when it was done, else by the code of its failure. */
export type Note = (step: Step, fault: NamedFault, end: string) => void;

/** What has not come to an end after so many milliseconds hangs. */
const DEADLINE = 60_000;

/**
 * Lets a fault happen once at each of the steps, all in one run of the command, which is to be done all the same; several steps at once are harder on it
 * than one. A step that is not reached when its forerunner met the fault has a run of its own.
 */
export async function strikeOnce(
  scenario: Scenario,
  steps: readonly Step[],
  fault: NamedFault,
  note: Note,
): Promise<void> {
  const place = await scenario.open();
  const unreached: Step[] = [];
  try {
    await place.reconnect(isSilent(fault));
    const rules = new Map(
      steps.map((step) => [step, place.proxy.rule({ ...matching(step), fault: fault.fault })]),
    );
    const end = await ended(scenario.run(place));
    for (const [step, { fired }] of rules)
      if (fired > 0) note(step, fault, typeof end === "string" ? end : end.code);
      else unreached.push(step);
    assert.equal(end, scenario.good, `not overcome: ${JSON.stringify(end)}`);
    await scenario.checkDone(place, scenario.good);
  } finally {
    await place.close();
  }
  assert.ok(unreached.length < steps.length, "the step was never reached");
  for (const step of unreached) await strikeOnce(scenario, [step], fault, note);
}

/**
 * Lets faults happen at a step, each for as long as its run lasts, one after another to the same place while that is not done; when the last one
 * is gone, the same command is to be done. Whatever the end of a run, nothing wrong is left or told by it.
 */
export async function strikeForGood(
  scenario: Scenario,
  step: Step,
  faults: readonly NamedFault[],
  note: Note,
): Promise<void> {
  let place: FaultPlace | null = null;
  try {
    for (const fault of faults) {
      for (let met: Met | null = null; met?.fired !== true; ) {
        const fresh: boolean = place === null;
        place ??= await scenario.open();
        met = await meet(scenario, place, step, fault);
        const { end, fired } = met;
        if (typeof end === "string") {
          assert.ok(fired || !fresh, `${fault.name}: the step was never reached`);
          await scenario.checkDone(place, end);
          await place.close();
          place = null;
        } else {
          // A busy machine may be too slow for a silent run before it comes to the step.
          assert.ok(fired || isSilent(fault), `without a fault: ${JSON.stringify(end)}`);
        }
        if (!fired) continue;
        const word = typeof end === "string" ? end : end.code;
        note(step, fault, word);
        assert.ok(mayEnd(scenario.good, step, fault, word), `${fault.name}: ${JSON.stringify(end)}`);
      }
    }
    if (place === null) return;
    await runAgain(scenario, place);
  } finally {
    await place?.close();
  }
}

async function runAgain(scenario: Scenario, place: FaultPlace): Promise<void> {
  place.proxy.clearRules();
  await place.reconnect(false);
  const last = await ended(scenario.run(place));
  assert.equal(last, scenario.good, `the same command again: ${JSON.stringify(last)}`);
  await scenario.checkDone(place, scenario.good);
}

/** As a fault of the catalogue: the archive is replaced just before it is read on. */
export const REPLACED = "object replaced before";

/** Replaces the archive at a step in which it is read: the command stops, and is done once the sealed bytes are there again. */
export async function strikeReplaced(scenario: Scenario, step: Step): Promise<string> {
  const { replace } = scenario;
  assert.ok(replace !== undefined);
  const place = await scenario.open();
  try {
    await place.reconnect(false);
    place.proxy.rule({ ...matching(step), before: () => replace(place, "others") });
    const end = await ended(scenario.run(place));
    assert.ok(typeof end !== "string", `nothing was noticed: ${JSON.stringify(end)}`);
    assert.equal(end.code, "OBJECT_CHANGED");
    checkWords(place, end);
    await scenario.checkStopped(place, end);
    await replace(place, "sealed");
    await runAgain(scenario, place);
    return end.code;
  } finally {
    await place.close();
  }
}

interface Met {
  readonly end: string | Failure;
  /** Whether the fault happened. */
  readonly fired: boolean;
}

async function meet(scenario: Scenario, place: FaultPlace, step: Step, named: NamedFault): Promise<Met> {
  // It is known how often a command tries; here it would only be waited for.
  await place.reconnect(isSilent(named), isSilent(named) ? 2 : undefined);
  const { proxy } = place;
  const { fault } = named;
  const times = Number.POSITIVE_INFINITY;
  const all = isForGood(named) ? { before: () => void proxy.rule({ times, fault }) } : { times };
  const rule = proxy.rule({ ...matching(step), fault, ...all });
  const end = await ended(scenario.run(place));
  proxy.clearRules();
  if (typeof end !== "string") {
    checkWords(place, end);
    await scenario.checkStopped(place, end);
  }
  return { end, fired: rule.fired > 0 };
}

async function ended(work: Promise<string>): Promise<string | Failure> {
  const stop = new AbortController();
  const hang = sleep(DEADLINE, undefined, { signal: stop.signal }).then(
    () => assert.fail(`nothing has come of it after ${DEADLINE} ms`),
    () => "",
  );
  const end = work.catch((error: unknown) => asFailure(error).failure);
  try {
    return await Promise.race([end, hang]);
  } finally {
    stop.abort();
  }
}

/** Signed requests and what signs them. */
const SIGNED = /AWS4-HMAC|Signature=|X-Amz-Signature|Credential=|x-amz-security-token/i;

function checkWords(place: FaultPlace, failure: Failure): void {
  assert.notEqual(failure.code, "INTERNAL", failure.message);
  assert.match(failure.message, /^.{10,}[.)]$/s);
  assert.match(failure.nextStep, /^.{10,}\.?$/s);
  const causes = place.db.prepare("SELECT cause FROM transfers").all();
  for (const text of [JSON.stringify(failure), JSON.stringify(causes)]) {
    assert.doesNotMatch(text, SIGNED);
    for (const secret of place.secrets()) assert.ok(!text.includes(secret), "a secret is told");
  }
}

/** What the device's journal says of its only transfer. */
export function journalOf(place: FaultPlace): { readonly state: unknown; readonly code: unknown } {
  const row: unknown = place.db.prepare("SELECT state, cause FROM transfers").get();
  const cause: unknown = Reflect.get(Object(row), "cause");
  return {
    state: Reflect.get(Object(row), "state"),
    code: typeof cause === "string" ? Reflect.get(JSON.parse(cause), "code") : null,
  };
}
