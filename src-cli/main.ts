import { keepCompiledCode } from "./compile-cache.ts";
import { visible } from "./terminal-text.ts";

/** The first signal asks the work to end cleanly; the second finds the system's own handling again and kills. */
function stopOnSignals(): AbortSignal {
  const controller = new AbortController();
  const stop = () => {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
    controller.abort();
    if (!process.stderr.isTTY) return;
    const eraseProgress = process.env.TERM === "dumb" ? "" : "\r\u001b[2K";
    process.stderr.write(`${eraseProgress}Stopping. Press Ctrl-C again to end at once.\n`);
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  return controller.signal;
}

/** A fault outside any call ends with 2, "could not be done": Node's own 1 would say "not valid". */
function faultIsNotAVerdict(error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const lines = text.split("\n").map((line) => `  ${visible(line.trim())}\n`);
  process.stderr.write(`error: Unexpected fault.\n${lines.join("")}`);
  process.exit(2);
}

process.on("uncaughtException", faultIsNotAVerdict);
keepCompiledCode(process.env);
const signal = stopOnSignals();
// Loaded after the cache is on, so that it works for all of it.
const [{ run }, { Output }] = await Promise.all([import("./run.ts"), import("./output.ts")]);
const secretTerminal = {
  // Standard input is opened only when something is asked for.
  get input() {
    return process.stdin;
  },
  prompt: process.stderr,
  signal,
};
const exitCode = await run(process.argv.slice(2), {
  output: new Output(process.stdout, process.stderr),
  env: process.env,
  signal,
  now: () => performance.now(),
  openVault: async (first, credentials) => {
    const { openVault } = await import("../src-core/open-vault.ts");
    return await openVault({
      env: process.env,
      first,
      ...(credentials === undefined ? {} : { credentials }),
    });
  },
  input: () => process.stdin,
  askSecret: async (prompt, withoutTerminal) => {
    const { askSecret } = await import("./ask-secret.ts");
    return await askSecret(prompt, secretTerminal, withoutTerminal);
  },
  askStoreSecret: async (wanted) => {
    const { askStoreSecret } = await import("./ask-store-secret.ts");
    return await askStoreSecret(wanted, secretTerminal);
  },
});
// All writes are over and the vault is closed; nothing that is left open may keep the program from ending.
process.exit(exitCode);
