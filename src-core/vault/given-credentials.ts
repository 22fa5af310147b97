import type { ParsedRequest } from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import {
  type CredentialSource,
  type KeychainSource,
  newKeychainSource,
  parseCredentialSource,
} from "../credentials/credential-source.ts";
import { type CredentialProvider, keyFault, StoreCredentials } from "../credentials/store-credentials.ts";
import { asFailure, FailureError, fail } from "../failing.ts";

type CredentialFields = Omit<ParsedRequest<"vaultSetCredentials">, "name">;

/** Credentials that a request gave and nobody has kept yet. */
export interface GivenCredentials {
  readonly source: CredentialSource;
  /** Gives just these, whatever `--credentials` says. */
  readonly provider: CredentialProvider;
  /** Keeps what is secret of them where the source says, while `work` makes use of it; what fails leaves no secret behind. */
  keeping<T>(work: () => Promise<T>): Promise<T>;
}

/** Throws INVALID_INPUT unless there is either a key with its secret or a reference. */
export function givenCredentials(core: Core, name: string, fields: CredentialFields): GivenCredentials {
  const { accessKeyId, secretAccessKey, sessionToken, credentials } = fields;
  const aboutKey = accessKeyId ?? secretAccessKey ?? sessionToken;
  if ((credentials === undefined) === (aboutKey === undefined)) {
    throw fail(
      "INVALID_INPUT",
      credentials === undefined
        ? `Vault ${name} needs credentials.`
        : "Credentials are given twice: as a key and by reference.",
      "Give --access-key-id ID, whose secret is asked for and goes to the keychain; or --credentials env or --credentials profile:NAME, which keep no secret.",
      { subject: "credentials" },
    );
  }
  if (credentials !== undefined) {
    const source = parseCredentialSource(credentials);
    return { source, provider: core.credentials.trial(name, source), keeping: (work) => work() };
  }
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    throw fail("INVALID_INPUT", "An access key needs both its id and its secret.", "Give both.", {
      subject: accessKeyId === undefined ? "accessKeyId" : "secretAccessKey",
    });
  }
  const key = new StoreCredentials({
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === undefined ? {} : { sessionToken }),
  });
  const fault = keyFault(key);
  if (fault !== null) {
    throw fail("INVALID_INPUT", `These credentials cannot be used: ${fault}.`, "Give them again.");
  }
  const source = newKeychainSource(name, accessKeyId, core.newId);
  return { source, provider: async () => key, keeping: (work) => keptInKeychain(core, source, key, work) };
}

async function keptInKeychain<T>(
  core: Core,
  source: KeychainSource,
  key: StoreCredentials,
  work: () => Promise<T>,
): Promise<T> {
  let saved = false;
  try {
    await core.credentials.save(source, key);
    saved = true;
    return await work();
  } catch (error) {
    try {
      await core.credentials.remove(source);
    } catch (stays) {
      const { failure } = asFailure(error);
      const left = saved
        ? "The secret stays in the keychain"
        : "What it took of the secret, if any, stays in it";
      const message = `${failure.message} ${left}, as ${source.account}: ${asFailure(stays).failure.message}`;
      throw new FailureError({ ...failure, message }, error);
    }
    throw error;
  }
}
