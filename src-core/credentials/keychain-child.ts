/**
 * For tests only: writes or removes a secret in the real keychain and ends itself with SIGKILL after its n-th change of an entry.
 * Arguments: account, n (0: never), length of the secret (0: remove it). Prints the number of changes.
 */
import { type EntryStore, removeSecret, writeSecret } from "./chunked-secret.ts";
import { openKeychainEntries } from "./keychain-entries.ts";

const [account = "", killAt = "0", length = "0"] = process.argv.slice(2);
let changes = 0;

async function change(work: Promise<void>): Promise<void> {
  await work;
  changes++;
  if (changes === Number(killAt)) process.kill(process.pid, "SIGKILL");
}

const entries = await openKeychainEntries();
const watched: EntryStore = {
  read: (name) => entries.read(name),
  write: (name, bytes) => change(entries.write(name, bytes)),
  remove: (name) => change(entries.remove(name)),
};
if (length === "0") await removeSecret(watched, account);
else await writeSecret(watched, account, "n".repeat(Number(length)));
process.stdout.write(`${changes}\n`);
