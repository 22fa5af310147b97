import type {
  HealthProbe,
  StoreSettings,
  VaultDetail,
  VaultHealth,
  VaultSummary,
} from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import {
  type CredentialSource,
  credentialSourceSchema,
  type KeychainSource,
  sourceText,
} from "../credentials/credential-source.ts";
import { fail } from "../failing.ts";
import { rfc3339FromMs } from "../package/times.ts";
import type { S3Settings } from "./s3-settings.ts";

interface VaultOfAnyKind {
  readonly name: string;
  readonly location: string;
  /** Of the last probe; null before the first. */
  readonly health: VaultHealth | null;
}

interface FolderRow extends VaultOfAnyKind {
  readonly kind: "folder";
  /** The id in the vault's marker. */
  readonly marker: string;
}

export interface S3Row extends VaultOfAnyKind {
  readonly kind: "s3";
  /** Null for one that had none when it was added, with credentials that could not write one. */
  readonly marker: string | null;
  readonly settings: S3Settings;
  readonly credentials: CredentialSource;
}

/** A vault as the ledger knows it. */
export type VaultRow = FolderRow | S3Row;

interface Columns {
  readonly name: string;
  readonly kind: "folder" | "s3";
  readonly location: string;
  readonly marker: string | null;
  readonly settings: string | null;
  readonly credentials: string | null;
  readonly health: string | null;
}

const COLUMNS = "name, kind, location, marker, settings, credentials, health";

function rowOf({ settings, credentials, health, ...columns }: Columns): VaultRow {
  const known = { ...columns, health: health === null ? null : (JSON.parse(health) as VaultHealth) };
  if (columns.kind === "folder") return { ...known, kind: "folder", marker: columns.marker ?? "" };
  return {
    ...known,
    kind: "s3",
    // The name is not in the column: a vault has one.
    settings: { ...(JSON.parse(settings ?? "") as S3Settings), name: columns.name },
    credentials: credentialSourceSchema.parse(JSON.parse(credentials ?? "")),
  };
}

export function vaultRows(core: Core): readonly VaultRow[] {
  return core.ledger.prepare<[], Columns>(`SELECT ${COLUMNS} FROM vaults ORDER BY name`).all().map(rowOf);
}

/** Null when there is no vault of this name. */
function findVault(core: Core, name: string): VaultRow | null {
  const row = core.ledger
    .prepare<[string], Columns>(`SELECT ${COLUMNS} FROM vaults WHERE name = ?`)
    .get(name);
  return row === undefined ? null : rowOf(row);
}

/** Throws VAULT_NOT_FOUND. */
export function vaultRow(core: Core, name: string): VaultRow {
  const row = findVault(core, name);
  if (row !== null) return row;
  throw fail(
    "VAULT_NOT_FOUND",
    `There is no vault ${name} on this device.`,
    `Add it with: strongroom vault add folder ${name} --path DIR, or: strongroom vault add s3 ${name} --bucket BUCKET`,
    { subject: name },
  );
}

export function summaryOf(row: VaultRow): VaultSummary {
  const { name, kind, location } = row;
  return { name, kind, location, credentials: row.kind === "s3" ? sourceText(row.credentials) : null };
}

/** All that this device knows of a vault. Throws VAULT_NOT_FOUND. */
export function vaultDetail(core: Core, name: string): VaultDetail {
  const row = vaultRow(core, name);
  const looked = core.ledger
    .prepare<[string], { probed: string | null }>("SELECT probed FROM vaults WHERE name = ?")
    .get(name);
  return {
    ...summaryOf(row),
    store: row.kind === "s3" ? storeSettings(row.settings) : null,
    health: row.health,
    probed: looked?.probed ?? null,
  };
}

function storeSettings(settings: S3Settings): StoreSettings {
  const { bucket, endpoint, region, prefix, pathStyle, storageClass, encryption, kmsKey } = settings;
  return { bucket, endpoint, region, prefix, pathStyle, storageClass, encryption, kmsKey };
}

/** Throws VAULT_EXISTS when the name is taken, or the bucket and prefix are a vault under another one. */
export function requireFree(core: Core, name: string, location: string): void {
  if (findVault(core, name) !== null) {
    throw fail(
      "VAULT_EXISTS",
      `A vault ${name} is already there.`,
      "Choose another name. List vaults with: strongroom vault list",
      { subject: name },
    );
  }
  const other = core.ledger
    .prepare<[string], { name: string }>("SELECT name FROM vaults WHERE kind = 's3' AND location = ?")
    .get(location);
  if (other === undefined) return;
  throw fail(
    "VAULT_EXISTS",
    `${location} is already here as vault ${other.name}.`,
    `Use vault ${other.name}, or choose another prefix.`,
    { subject: other.name },
  );
}

/** Remembers a vault. Throws VAULT_EXISTS as `requireFree`, also where another process was faster. */
export function insertVault(core: Core, row: VaultRow): void {
  const s3 = row.kind === "s3" ? row : null;
  const now = rfc3339FromMs(core.clock.now());
  core.ledger
    .transaction(() => {
      requireFree(core, row.name, row.location);
      core.ledger
        .prepare(
          "INSERT INTO vaults (name, kind, location, marker, added, settings, credentials, health, probed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .run(
          ...[row.name, row.kind, row.location, row.marker, now],
          ...[
            s3 && JSON.stringify({ ...s3.settings, name: undefined }),
            s3 && JSON.stringify(s3.credentials),
          ],
          ...[row.health && JSON.stringify(row.health), row.health && now],
        );
    })
    .immediate();
}

/** Keeps what a probe found. What it could not find out stays as an earlier one found it: a row is of one place, whoever looks at it. */
export function saveHealth(core: Core, name: string, health: VaultHealth): void {
  core.ledger
    .transaction(() => {
      const known = withKnown(health, vaultRow(core, name).health);
      core.ledger
        .prepare("UPDATE vaults SET health = ?, probed = ? WHERE name = ?")
        .run(JSON.stringify(known), rfc3339FromMs(core.clock.now()), name);
    })
    .immediate();
}

function withKnown(health: VaultHealth, before: VaultHealth | null): VaultHealth {
  const open = (name: HealthProbe["name"]) =>
    health.probes.every((probe) => probe.name !== name || probe.result === "unknown");
  const kept = (before?.probes ?? []).filter(({ name, result }) => result !== "unknown" && open(name));
  const byName = new Map([...health.probes, ...kept].map((probe) => [probe.name, probe]));
  return {
    ...health,
    // A setting that the store was seen not to follow still makes it unfit.
    fit: health.fit && kept.every(({ result }) => result !== "failed"),
    probes: [...byName.values()],
  };
}

/** Replaces where an S3 vault's credentials come from, and what was found with them. Answers with the account in the keychain that nothing refers to now. */
export function replaceCredentials(core: Core, row: S3Row): KeychainSource | null {
  return core.ledger
    .transaction(() => {
      const before = vaultRow(core, row.name);
      core.ledger
        .prepare("UPDATE vaults SET credentials = ?, marker = ? WHERE name = ?")
        .run(JSON.stringify(row.credentials), row.marker, row.name);
      if (row.health !== null) saveHealth(core, row.name, row.health);
      return before.kind === "s3" && before.credentials.kind === "keychain" ? before.credentials : null;
    })
    .immediate();
}
