import type { AsyncEntry } from "@napi-rs/keyring";
import type { EntryStore } from "./chunked-secret.ts";

/** The name under which the operating system's own programs list these secrets. */
const SERVICE = "Strongroom";

/** The Secret Service is often started by the very first call, and the binding waits 2 seconds for an answer. */
const CONNECT_ATTEMPTS = 3;
const NO_ANSWER = /Did not receive a reply/;

/**
 * The entries of the operating system's keychain: Secret Service, Windows Credential Manager or macOS Keychain. The store is named on
 * Linux, since the binding otherwise falls back to the kernel's keyring, which forgets at reboot. Rejects when the native module cannot
 * be loaded. To be used in a process of its own only: making an entry connects to D-Bus on the calling thread, without a time limit,
 * and neither it nor a call that waits for a prompt can be aborted.
 */
export async function openKeychainEntries(): Promise<EntryStore> {
  const { AsyncEntry } = await import("@napi-rs/keyring");
  const entry = (account: string): AsyncEntry => {
    for (let attempt = 1; ; attempt++) {
      try {
        return new AsyncEntry(SERVICE, account, { linux: { store: "secret-service" } });
      } catch (error) {
        if (attempt === CONNECT_ATTEMPTS || !NO_ANSWER.test(String(error))) throw error;
      }
    }
  };
  return {
    read: async (name) => {
      const bytes = await entry(name).getSecret();
      return bytes === null ? null : Uint8Array.from(bytes);
    },
    write: (name, bytes) => entry(name).setSecret(bytes),
    remove: async (name) => {
      await entry(name).deleteCredential();
    },
  };
}
