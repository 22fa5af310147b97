import type { Outcome } from "../src-contract/failure.ts";
import type { RequestName, VaultApi } from "../src-contract/vault-api.ts";
import { startHashing } from "./digest/hash-pool.ts";
import { toOutcome } from "./failing.ts";
import { homeFolder } from "./home.ts";
import { SEAL_THREAD } from "./package/seal-job.ts";
import { startThreads } from "./threads.ts";

export interface OpenOptions {
  /** The state folder; else `$STRONGROOM_HOME` or the platform's. */
  readonly home?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** `env` or `profile:NAME`: where S3 vaults get their credentials in this run, instead of where each keeps them. */
  readonly credentials?: string;
  /** The call that will come first, where that is known: its threads start while the rest is loaded. */
  readonly first?: RequestName;
}

export type OpenedVault = VaultApi & { close(): Promise<void> };

/**
 * Opens the core: the one door for every face. Settles what a killed process left behind. Answers a Failure when the state folder
 * cannot be used or was written by a newer program; nothing is changed then.
 */
export function openVault(options: OpenOptions = {}): Promise<Outcome<OpenedVault>> {
  return toOutcome(async () => {
    if (options.first === "verify") startHashing(2);
    if (options.first === "packagePull") startHashing(1);
    if (options.first === "packageBuild") startThreads(SEAL_THREAD, 1);
    const { openCalls } = await import("./vault-calls.ts");
    return openCalls(options.home ?? homeFolder(options.env ?? process.env), options);
  });
}
