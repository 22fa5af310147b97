import type { Failure } from "../../src-contract/failure.ts";
import type { HealthProbe, ParsedRequest, VaultHealth, VaultSummary } from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import type { KeychainSource } from "../credentials/credential-source.ts";
import { asFailure, FailureError, fail } from "../failing.ts";
import type { Vault } from "../ports.ts";
import { type GivenCredentials, givenCredentials } from "./given-credentials.ts";
import { settingsOf, settingsWarnings } from "./s3-request.ts";
import { type S3Settings, s3Location } from "./s3-settings.ts";
import { readMarker, requireMarker, writeMarker } from "./vault-marker.ts";
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
  const row = await trying(core, settings, given, async (vault) => {
    // The first request: what the store has against it comes out as it is.
    const found = await readMarker(vault);
    const health = await fitOnly(vault);
    return await given.keeping(async () => {
      const marker = found ?? (await makeMarker(core, vault));
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
  for (const warning of [...settingsWarnings(settings), ...probeWarnings(row)]) warn(warning);
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
  const [replaced, unused] = await trying(core, row.settings, given, async (vault) => {
    const found = row.marker ?? (await readMarker(vault));
    if (row.marker !== null) await requireMarker(vault, name, row.marker);
    const health = await fitOnly(vault);
    return await given.keeping(async () => {
      const marker = found ?? (await makeMarker(core, vault));
      const changed: S3Row = { ...row, credentials: given.source, health, marker };
      return [changed, replaceCredentials(core, changed)] as const;
    });
  });
  if (unused !== null) await forget(core, unused, warn);
  for (const warning of probeWarnings(replaced)) warn(warning);
  return summaryOf(replaced);
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

/** Opens the store for `work` with credentials that nobody has kept yet. */
async function trying<T>(
  core: Core,
  settings: S3Settings,
  { provider }: GivenCredentials,
  work: (vault: Vault) => Promise<T>,
): Promise<T> {
  try {
    return await core.stores.withVault({ settings, health: null }, provider, work);
  } catch (error) {
    const { failure } = asFailure(error);
    if (failure.code !== "CREDENTIALS_REFUSED") throw error;
    const nextStep =
      "Check the access key id and its secret, then run the same command again. Nothing was changed.";
    throw new FailureError({ ...failure, nextStep }, error);
  }
}

/** Throws VAULT_UNFIT when the bucket cannot even be read, or the store does not keep objects as the vault's settings ask. */
async function fitOnly(vault: Vault): Promise<VaultHealth> {
  const health = await vault.health();
  if (health.fit) return health;
  const failed = health.probes.filter((probe) => probe.result === "failed");
  throw fail(
    "VAULT_UNFIT",
    `${vault.location} cannot serve as a vault: ${failed.map((probe) => `${probe.name}: ${probe.detail}`).join("; ")}.`,
    failed.map(({ name }) => MENDS[name]).find((way) => way !== undefined) ??
      "Check the bucket and what the credentials may do there.",
    { subject: vault.location, details: { probes: health.probes } },
  );
}

/** The next step where a setting of the vault is what the store does not do. */
const MENDS: Partial<Record<HealthProbe["name"], string>> = {
  encryption:
    "Ask the store's owner to set up this encryption, or add the vault with another --encryption; with none the store keeps what it is sent.",
  "storage class":
    "Add the vault with a --storage-class that the store has and whose objects can be read at once, or without one.",
};

/** Makes the marker that is missing; null where these credentials may not write. */
async function makeMarker(core: Core, vault: Vault): Promise<string | null> {
  try {
    return await writeMarker(vault, core.newId());
  } catch (error) {
    if (asFailure(error).failure.code === "PERMISSION_MISSING") return null;
    throw error;
  }
}

/** What a person should know of a vault that serves, but not for all: it cannot be written to, or what was probed stays in it. */
function probeWarnings({ name, health }: S3Row): readonly Failure[] {
  return (health?.probes ?? [])
    .filter((probe) => WARNED_OF.has(probe.name) && probe.result !== "ok")
    .filter((probe) => !probe.detail.startsWith("not tried"))
    .map((probe) => ({
      code: "PERMISSION_MISSING",
      message: `Vault ${name}, ${probe.name}: ${probe.detail}.`,
      nextStep: `See all that was found with: strongroom vault health ${name}`,
      subject: name,
    }));
}
const WARNED_OF: ReadonlySet<string> = new Set(["writable", "delete"]);
