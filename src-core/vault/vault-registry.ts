import { resolve } from "node:path";
import type { ParsedRequest, VaultHealth, VaultSummary } from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import { fail } from "../failing.ts";
import { refuseInsideHome } from "../home.ts";
import type { Vault } from "../ports.ts";
import { COMMAND_RETRY } from "../transfer/retry.ts";
import { withRetry } from "../transfer/steady-vault.ts";
import { createFolderVault } from "./folder-vault.ts";
import { readMarker, requireMarker, writeMarker } from "./vault-marker.ts";
import { insertVault, saveHealth, summaryOf, vaultRow, vaultRows } from "./vault-rows.ts";

/** Remembers a folder as a vault after trying what it can do. Throws VAULT_EXISTS, VAULT_UNREACHABLE or VAULT_UNFIT. */
export async function addFolderVault(
  core: Core,
  request: ParsedRequest<"vaultAddFolder">,
): Promise<VaultSummary> {
  const { name } = request;
  const location = resolve(request.path);
  await refuseInsideHome(core.home, location);
  const vault = createFolderVault(location);
  const health = await vault.health();
  if (!health.fit) throw unfit(name, location, health);
  const marker = (await readMarker(vault)) ?? (await writeMarker(vault, core.newId()));
  insertVault(core, { name, kind: "folder", location, marker, health });
  return vaultByName(core, name);
}

function unfit(name: string, location: string, health: VaultHealth): Error {
  const failed = health.probes.filter((probe) => probe.result === "failed");
  return fail(
    "VAULT_UNFIT",
    `${location} cannot serve as vault ${name}: ${failed.map((probe) => `${probe.name}: ${probe.detail}`).join("; ")}.`,
    "Choose a folder that exists and can be written to.",
    { subject: location, details: { probes: health.probes } },
  );
}

export function listVaults(core: Core): readonly VaultSummary[] {
  return vaultRows(core).map(summaryOf);
}

/** Throws VAULT_NOT_FOUND. */
export function vaultByName(core: Core, name: string): VaultSummary {
  return summaryOf(vaultRow(core, name));
}

/**
 * Opens a vault after making sure that it is the one that was added: a mount point whose disk is not mounted is an empty folder too,
 * and what is written there would be on the wrong disk; a bucket is looked at once per process. Small requests are tried again as a command does. Throws VAULT_NOT_FOUND, VAULT_UNREACHABLE,
 * and for a bucket what its store answers.
 */
export async function openVaultByName(core: Core, name: string): Promise<Vault> {
  const row = vaultRow(core, name);
  if (row.kind === "s3") {
    const vault = await core.stores.take(row, () => core.credentials.provider(name, row.credentials));
    return withRetry(vault, COMMAND_RETRY);
  }
  const vault = createFolderVault(row.location);
  await requireMarker(vault, name, row.marker);
  return withRetry(vault, COMMAND_RETRY);
}

/** Probes a vault anew and keeps what was found. Throws as `openVaultByName`. */
export async function probeVault(core: Core, name: string): Promise<VaultHealth> {
  const health = await (await openVaultByName(core, name)).health();
  saveHealth(core, name, health);
  return health;
}
