/**
 * Does one piece of work with the keychain in a process of its own, since only a process can be ended while the keychain does not
 * answer: a thread that hangs in native code keeps its whole process from ending. The work comes and the answer goes over the channel
 * between parent and child, which no other process can read.
 */
import type { KeychainAnswer, KeychainWork } from "./keychain.ts";

// Without a parent nobody waits for the answer, and a prompt may wait for ever. It cannot be ended more gently while native code runs.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
process.once("message", (work: KeychainWork) => {
  void answer(work).then((answered) => process.send?.(answered, () => process.exit()));
});

async function answer(work: KeychainWork): Promise<KeychainAnswer> {
  const { openKeychainEntries } = await import("./keychain-entries.ts");
  const { SecretDamagedError, readSecret, removeSecret, writeSecret } = await import("./chunked-secret.ts");
  try {
    const entries = await openKeychainEntries().catch((error: unknown) => {
      throw new ModuleError(String(error));
    });
    if (work.kind === "get") return { value: await readSecret(entries, work.account) };
    if (work.kind === "set") await writeSecret(entries, work.account, work.secret);
    else await removeSecret(entries, work.account);
    return { value: null };
  } catch (error) {
    if (error instanceof SecretDamagedError) return { problem: "damaged", text: "" };
    const text = error instanceof Error ? error.message : String(error);
    return { problem: error instanceof ModuleError ? "module" : "store", text };
  }
}

class ModuleError extends Error {}
