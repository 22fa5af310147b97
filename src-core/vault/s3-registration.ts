import type { Failure } from "../../src-contract/failure.ts";
import type { ParsedRequest, VaultSummary } from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import type { KeychainSource } from "../credentials/credential-source.ts";
import { asFailure, fail } from "../failing.ts";
import type { Vault } from "../ports.ts";
import { givenCredentials } from "./given-credentials.ts";
import { settingsOf, settingsWarnings } from "./s3-request.ts";
import { s3Location } from "./s3-settings.ts";
import { ensureMarker, readMarker, requireMarker } from "./vault-marker.ts";
import {
  insertVault,
  replaceCredentials,
  requireFree,
  type S3Row,
  summaryOf,
  vaultRow,
} from "./vault-rows.ts";

type Warn = (warning: Failure) => void;

/**
 * Remembers a bucket, or a prefix of one, as a vault, after trying it with the credentials. What fails leaves neither a row nor a secret.
 * Throws VAULT_EXISTS, INVALID_INPUT, KEYCHAIN_UNAVAILABLE, CREDENTIALS_MISSING, or what the store answers: BUCKET_NOT_FOUND,
 * CREDENTIALS_REFUSED, PERMISSION_MISSING and the like.
 */
export async function addS3Vault(
  core: Core,
  request: ParsedRequest<"vaultAddS3">,
  warn: Warn,
): Promise<VaultSummary> {
  const { name } = request;
  const settings = settingsOf(request);
  const location = s3Location(settings);
  const given = givenCredentials(core, name, request);
  requireFree(core, name, location);
  const row = await core.stores.withVault({ settings, health: null }, given.provider, async (vault) => {
    const health = await vault.health();
    return await given.keeping(async () => {
      const marker = await markerFor(core, vault);
      const added: S3Row = {
        name,
        kind: "s3",
        location,
        settings,
        credentials: given.source,
        health,
        marker,
      };
      insertVault(core, added);
      return added;
    });
  });
  for (const warning of settingsWarnings(settings)) warn(warning);
  return summaryOf(row);
}

/**
 * Replaces where an S3 vault's credentials come from, or their secret, after trying the new ones. What fails leaves the old ones as they are.
 * Throws as `addS3Vault`, and VAULT_NOT_FOUND.
 */
export async function setVaultCredentials(
  core: Core,
  request: ParsedRequest<"vaultSetCredentials">,
  warn: Warn,
): Promise<VaultSummary> {
  const { name } = request;
  const row = vaultRow(core, name);
  if (row.kind !== "s3") {
    throw fail(
      "INVALID_INPUT",
      `Vault ${name} is a folder, which needs no credentials.`,
      "Name an S3 vault.",
      {
        subject: name,
      },
    );
  }
  const given = givenCredentials(core, name, request);
  const unused = await core.stores.withVault({ ...row, health: null }, given.provider, async (vault) => {
    const health = await vault.health();
    if (row.marker !== null) await requireMarker(vault, name, row.marker);
    return await given.keeping(async () => {
      const marker = row.marker ?? (await markerFor(core, vault));
      return replaceCredentials(core, { ...row, credentials: given.source, health, marker });
    });
  });
  if (unused !== null) await forget(core, unused, warn);
  return summaryOf(vaultRow(core, name));
}

/** The new secret is in use already, so an old one that stays is no failure. */
async function forget(core: Core, unused: KeychainSource, warn: Warn): Promise<void> {
  try {
    await core.credentials.remove(unused);
  } catch (error) {
    const { failure } = asFailure(error);
    warn({
      ...failure,
      message: `The old secret stays in the keychain, as ${unused.account}: ${failure.message}`,
    });
  }
}

/** The id in the bucket's marker, which is made where it is missing; null where these credentials may read but not make one. */
async function markerFor(core: Core, vault: Vault): Promise<string | null> {
  try {
    return await ensureMarker(vault, core.newId());
  } catch (error) {
    if (asFailure(error).failure.code !== "PERMISSION_MISSING") throw error;
    return await readMarker(vault);
  }
}
