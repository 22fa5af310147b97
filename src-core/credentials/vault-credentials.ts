import { z } from "zod";
import type { CancelSignal } from "../../src-contract/progress.ts";
import { type FailureError, fail } from "../failing.ts";
import { profileCredentials } from "./aws-profile.ts";
import { type CredentialSource, type KeychainSource, sourceText } from "./credential-source.ts";
import { MemorySecrets, type SecretStore } from "./secret-store.ts";
import { type AccessKey, type CredentialProvider, keyFault, StoreCredentials } from "./store-credentials.ts";

/** The form of one secret in the keychain. */
const keptKeySchema = z.strictObject({
  accessKeyId: z.string(),
  secretAccessKey: z.string(),
  sessionToken: z.string().optional(),
});

type Env = Readonly<Record<string, string | undefined>>;

/** The credentials of all vaults, for one running process. No failure of it holds a secret. */
export class VaultCredentials {
  readonly #keychain: SecretStore;
  readonly #memory = new MemorySecrets();
  readonly #env: Env;
  readonly #overrides = new Map<string | null, CredentialSource>();

  /** `env` is read at each call that asks for it. */
  constructor(options: { readonly keychain: SecretStore; readonly env: Env }) {
    this.#keychain = options.keychain;
    this.#env = options.env;
  }

  /**
   * Keeps a vault's key in the keychain; one that is there already is replaced as a whole. Throws KEYCHAIN_UNAVAILABLE, and INVALID_INPUT for a
   * key that no store can accept.
   */
  async save(source: KeychainSource, key: AccessKey, signal?: CancelSignal): Promise<void> {
    await this.#keychain.set(source.account, keptText(key), signal);
    await this.#memory.delete(source.account);
  }

  /** As `save`, for a machine without a keychain: until this process ends, and for no other process. */
  async keepInMemory(source: KeychainSource, key: AccessKey): Promise<void> {
    await this.#memory.set(source.account, keptText(key));
  }

  /** What was kept for the vault, or null. Throws KEYCHAIN_UNAVAILABLE, and CREDENTIALS_MISSING when it is damaged. */
  async read(source: KeychainSource, signal?: CancelSignal): Promise<StoreCredentials | null> {
    const { account } = source;
    const text = (await this.#memory.get(account)) ?? (await this.#keychain.get(account, signal));
    if (text === null) return null;
    return new StoreCredentials(parsedKey(account, text));
  }

  /** Removes what was kept; that there is nothing is a success. Throws KEYCHAIN_UNAVAILABLE. */
  async remove(source: KeychainSource, signal?: CancelSignal): Promise<void> {
    await this.#memory.delete(source.account);
    await this.#keychain.delete(source.account, signal);
  }

  /** For this process `source` wins over what is kept: for one vault, or for all that have no override of their own. Null ends it. */
  override(source: CredentialSource | null, vault: string | null = null): void {
    if (source === null) this.#overrides.delete(vault);
    else this.#overrides.set(vault, source);
  }

  /** Where the vault's credentials come from now. */
  sourceOf(vault: string, kept: CredentialSource): CredentialSource {
    return this.#overrides.get(vault) ?? this.#overrides.get(null) ?? kept;
  }

  /**
   * What an AWS client takes as `credentials`. Each call looks anew, at the override too: a client that is made anew after a refusal
   * meets replaced keys. Rejects with CREDENTIALS_MISSING, KEYCHAIN_UNAVAILABLE, or VAULT_UNREACHABLE when a profile's role could not be
   * asked for now.
   */
  provider(vault: string, kept: CredentialSource): CredentialProvider {
    return () => this.#usable(vault, this.sourceOf(vault, kept));
  }

  /** As `provider`, for a source that is to be tried before it is kept: just that one, whatever overrides say. */
  trial(vault: string, source: CredentialSource): CredentialProvider {
    return () => this.#usable(vault, source);
  }

  async #usable(vault: string, source: CredentialSource): Promise<StoreCredentials> {
    const found = await this.#find(vault, source);
    const fault = keyFault(found);
    if (fault === null) return found;
    throw missing(
      vault,
      `The credentials of vault ${vault} (${sourceText(source)}) cannot be used: ${fault}.`,
      source.kind === "keychain"
        ? `Give them again with: strongroom vault set-credentials ${vault}`
        : "Correct them where they come from.",
    );
  }

  async #find(vault: string, source: CredentialSource): Promise<StoreCredentials> {
    switch (source.kind) {
      case "env":
        return fromEnvironment(vault, this.#env);
      case "profile":
        return await profileCredentials(source.name, this.#env);
      case "keychain": {
        const kept = await this.read(source);
        if (kept !== null) return kept;
        throw missing(
          vault,
          `The system's keychain holds no secret of vault ${vault} (access key ${source.accessKeyId}).`,
          `Give them again with: strongroom vault set-credentials ${vault}, or use --credentials env or --credentials profile:NAME.`,
        );
      }
    }
  }
}

/** Variables as all AWS programs know them. An empty one counts as missing. */
function fromEnvironment(vault: string, env: Env): StoreCredentials {
  const accessKeyId = env.AWS_ACCESS_KEY_ID ?? "";
  const secretAccessKey = env.AWS_SECRET_ACCESS_KEY ?? "";
  const sessionToken = env.AWS_SESSION_TOKEN ?? "";
  const absent = [
    ...(accessKeyId === "" ? ["AWS_ACCESS_KEY_ID"] : []),
    ...(secretAccessKey === "" ? ["AWS_SECRET_ACCESS_KEY"] : []),
  ];
  if (absent.length > 0) {
    throw missing(
      vault,
      `The credentials of vault ${vault} are to come from the environment, and ${absent.join(" and ")} ${absent.length === 1 ? "is" : "are"} not set.`,
      "Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for temporary credentials, AWS_SESSION_TOKEN, or use --credentials profile:NAME.",
      { variables: absent },
    );
  }
  return new StoreCredentials({
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === "" ? {} : { sessionToken }),
  });
}

function keptText({ accessKeyId, secretAccessKey, sessionToken }: AccessKey): string {
  const key = { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
  const fault = keyFault(key);
  if (fault !== null) {
    throw fail("INVALID_INPUT", `These credentials cannot be used: ${fault}.`, "Give them again.");
  }
  return JSON.stringify(key);
}

function parsedKey(account: string, text: string): AccessKey {
  try {
    const { sessionToken, ...key } = keptKeySchema.parse(JSON.parse(text));
    return sessionToken === undefined ? key : { ...key, sessionToken };
  } catch {
    // The error would quote the secret.
    throw fail(
      "CREDENTIALS_MISSING",
      `What the system's keychain holds as ${account} are no credentials of a vault.`,
      "Give them again with: strongroom vault set-credentials NAME",
      { subject: account },
    );
  }
}

function missing(
  vault: string,
  message: string,
  nextStep: string,
  details?: Record<string, unknown>,
): FailureError {
  return fail("CREDENTIALS_MISSING", message, nextStep, { subject: vault, ...(details ? { details } : {}) });
}
