/**
 * For tests only: pushes or pulls the test package in a process of its own and ends itself with SIGKILL at the n-th event, an event being a
 * state of the journal, or the moment before or after a call of the vault or a read of the source.
 * Arguments: push or pull, the workplace, n (0: never), the ledger's name. Prints bytes read or received, events, and the outcome.
 */
import { writeSync } from "node:fs";
import { toOutcome } from "../failing.ts";
import type { Vault } from "../ports.ts";
import { pullPackage } from "./pull-package.ts";
import { pushPackage } from "./push-package.ts";
import { archiveOf, openLedger, pullOptions, pushOptions, vaultOf } from "./transfer-fixtures.ts";

const [direction, folder = "", killAt = "0", ledger] = process.argv.slice(2);
let events = 0;

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

function event(): void {
  events++;
  if (events === Number(killAt)) process.kill(process.pid, "SIGKILL");
}

async function around<T>(work: () => Promise<T>): Promise<T> {
  event();
  const result = await work();
  event();
  return result;
}

const vault = vaultOf(folder);
const watched: Vault = {
  ...vault,
  put: (...args) => around(() => vault.put(...args)),
  head: (...args) => around(() => vault.head(...args)),
  beginUpload: (...args) => around(() => vault.beginUpload(...args)),
  putPart: (...args) => around(() => vault.putPart(...args)),
  listParts: (...args) => around(() => vault.listParts(...args)),
  completeUpload: (...args) => around(() => vault.completeUpload(...args)),
  readRange: (object, offset, size, consume, signal) =>
    around(async () => {
      await vault.readRange(object, offset, size, consume, signal);
      say(`moved ${size}`);
    }),
};
const source = await archiveOf(folder);
const archive = {
  ...source,
  read: (offset: number, target: Uint8Array) =>
    around(async () => {
      await source.read(offset, target);
      say(`moved ${target.length}`);
    }),
};
const db = openLedger(folder, ledger);
const more = { vault: watched, onState: event };
const outcome = await toOutcome(async () => {
  if (direction === "push") return (await pushPackage(pushOptions(folder, db, archive, more))).alreadyStored;
  await pullPackage(pullOptions(folder, db, more));
  return false;
});
db.close();
say(`events ${events}`);
say(`outcome ${outcome.ok ? `done ${outcome.value}` : `${outcome.failure.code} ${outcome.failure.message}`}`);
