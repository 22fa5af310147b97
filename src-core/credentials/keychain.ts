import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { CancelSignal } from "../../src-contract/progress.ts";
import { cancelled, type FailureError, fail, throwIfCancelled } from "../failing.ts";
import type { SecretStore } from "./secret-store.ts";

/** What keychain-process.ts is to do. */
export type KeychainWork =
  | { readonly kind: "get" | "delete"; readonly account: string }
  | { readonly kind: "set"; readonly account: string; readonly secret: string };

/** What it answers; `text` is what the system said, and never holds a secret. */
export type KeychainAnswer =
  | { readonly value: string | null }
  | { readonly problem: "module" | "store" | "damaged"; readonly text: string };

/** How long a person has to type the keychain's password where the desktop asks for it, milliseconds. */
const DEADLINE_MS = 60_000;

const OTHERWISE = "give the credentials otherwise: --credentials env or --credentials profile:NAME";

/**
 * The operating system's keychain. Each call runs in a process of its own (keychain-process.ts), which is ended at the deadline or when
 * `signal` says so: a call never blocks this process and never hangs. Throws KEYCHAIN_UNAVAILABLE, saying what is missing;
 * CREDENTIALS_MISSING when what is kept is damaged; CANCELLED. The native module is loaded by that process at the first use.
 */
export function createKeychain(
  options: { readonly env?: NodeJS.ProcessEnv; readonly deadlineMs?: number } = {},
): SecretStore {
  const env = options.env ?? process.env;
  const deadlineMs = options.deadlineMs ?? DEADLINE_MS;
  const ask = async (work: KeychainWork, signal: CancelSignal | undefined): Promise<string | null> => {
    throwIfCancelled(signal);
    const answer = await answerOf(startProcess(env), work, deadlineMs, signal);
    if ("value" in answer) return answer.value;
    throw answer.problem === "damaged"
      ? damaged(work.account)
      : unavailable(...explained(answer.problem, answer.text));
  };
  return {
    get: (account, signal) => ask({ kind: "get", account }, signal),
    set: async (account, secret, signal) => {
      await ask({ kind: "set", account, secret }, signal);
    },
    delete: async (account, signal) => {
      await ask({ kind: "delete", account }, signal);
    },
  };
}

function startProcess(env: NodeJS.ProcessEnv): ChildProcess {
  return fork(fileURLToPath(new URL("./keychain-process.ts", import.meta.url)), {
    env,
    execArgv: ["--disable-warning=ExperimentalWarning"],
    // D-Bus and the binding write to the standard streams, which belong to the program's own output.
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
}

function answerOf(
  child: ChildProcess,
  work: KeychainWork,
  deadlineMs: number,
  signal: CancelSignal | undefined,
): Promise<KeychainAnswer> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => end(unavailable(...noAnswer(deadlineMs))), deadlineMs);
    const onAbort = (): void => end(cancelled());
    const settle = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
    const end = (failure: FailureError): void => {
      settle();
      child.kill("SIGKILL");
      reject(failure);
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    child.once("message", (answer: KeychainAnswer) => {
      settle();
      resolve(answer);
    });
    child.once("error", (error) => end(unavailable(`its process cannot be started (${error.message})`)));
    child.once("exit", (code, by) =>
      end(unavailable(`its process ended without an answer (${by ?? `exit code ${code}`})`)),
    );
    // One that ended already is heard by its exit.
    child.send(work, () => undefined);
  });
}

/** What the binding says, by its texts: errors of keyring-core, libdbus and the Secret Service; and what to do about it. */
const KNOWN_PROBLEMS: readonly (readonly [RegExp, string, string?])[] = [
  [
    /autolaunch|DBUS_SESSION_BUS_ADDRESS|Failed to connect to socket|Connection refused/i,
    "there is no D-Bus session, through which the Secret Service is reached",
    `Run the command in a desktop session, or ${OTHERWISE}.`,
  ],
  [
    /ServiceUnknown|not provided by any \.service|no secret service provider|NameHasNoOwner|Spawn\./i,
    "no Secret Service is there",
    `Install and start GNOME Keyring, KWallet or KeePassXC, or ${OTHERWISE}.`,
  ],
  [/prompt was dismissed|object locked/i, "it is locked, and it was not unlocked"],
  [
    /no result found/i,
    "it has no default keyring",
    `Create a default keyring in the desktop's password program, or ${OTHERWISE}.`,
  ],
  [/Did not receive a reply/i, "the Secret Service does not answer"],
];

type Explanation = readonly [what: string, nextStep?: string];

function explained(problem: "module" | "store", text: string): Explanation {
  if (problem === "module") {
    return [
      `its module for ${process.platform}-${process.arch} cannot be loaded (${text.split(/\n|\. /, 1)[0]})`,
      `Install Strongroom's libraries anew (npm ci), or ${OTHERWISE}.`,
    ];
  }
  const [, what, nextStep] = KNOWN_PROBLEMS.find(([pattern]) => pattern.test(text)) ?? [
    null,
    text.split("\n", 1)[0] ?? "",
  ];
  return [what, nextStep];
}

function noAnswer(deadlineMs: number): Explanation {
  return [
    `it did not answer within ${deadlineMs / 1000} seconds; it may be locked and wait for its password on the desktop`,
  ];
}

function unavailable(what: string, nextStep = `Unlock or restart it, or ${OTHERWISE}.`): FailureError {
  return fail("KEYCHAIN_UNAVAILABLE", `The system's keychain cannot be used: ${what}.`, nextStep);
}

function damaged(account: string): FailureError {
  return fail(
    "CREDENTIALS_MISSING",
    `What the system's keychain holds as ${account} is not what was stored: it was changed there, or two processes stored it at the same moment.`,
    "Give them again with: strongroom vault set-credentials NAME",
    { subject: account },
  );
}
