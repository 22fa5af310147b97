import type { CancelSignal } from "../../src-contract/progress.ts";

/** Where secrets are kept, each under the name of its account. All failures are FailureError, and none holds a secret. */
export interface SecretStore {
  /** The secret, whole as it was set last, or null when there is none. */
  get(account: string, signal?: CancelSignal): Promise<string | null>;
  /** Replaces the secret as a whole: whoever reads meets the old one or the new one, also when this process is killed in between. */
  set(account: string, secret: string, signal?: CancelSignal): Promise<void>;
  /** Removes the secret; that there is none is a success. */
  delete(account: string, signal?: CancelSignal): Promise<void>;
}

/** Secrets in the memory of the running process only: for a machine without a keychain. */
export class MemorySecrets implements SecretStore {
  readonly #secrets = new Map<string, string>();

  async get(account: string): Promise<string | null> {
    return this.#secrets.get(account) ?? null;
  }

  async set(account: string, secret: string): Promise<void> {
    this.#secrets.set(account, secret);
  }

  async delete(account: string): Promise<void> {
    this.#secrets.delete(account);
  }
}
