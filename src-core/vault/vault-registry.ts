import { resolve } from "node:path";
import type { ParsedRequest, VaultHealth, VaultSummary } from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import { fail } from "../failing.ts";
import { rfc3339FromMs } from "../package/times.ts";
import type { Vault } from "../ports.ts";
import { createFolderVault } from "./folder-vault.ts";

/** Remembers a folder as a vault after trying what it can do. Throws VAULT_EXISTS, VAULT_UNREACHABLE or VAULT_UNFIT. */
export async function addFolderVault(
  core: Core,
  request: ParsedRequest<"vaultAddFolder">,
): Promise<VaultSummary> {
  const location = resolve(request.path);
  const health = await createFolderVault(location).health();
  if (!health.fit) throw unfit(request.name, location, health);
  const { changes } = core.ledger
    .prepare(
      "INSERT INTO vaults (name, kind, location, added) VALUES (?, 'folder', ?, ?) ON CONFLICT DO NOTHING",
    )
    .run(request.name, location, rfc3339FromMs(core.clock.now()));
  if (changes === 0) {
    throw fail(
      "VAULT_EXISTS",
      `A vault ${request.name} is already there.`,
      "Choose another name. List vaults with: strongroom vault list",
      {
        subject: request.name,
      },
    );
  }
  return vaultByName(core, request.name);
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
  return core.ledger.prepare<[], VaultSummary>("SELECT name, kind, location FROM vaults ORDER BY name").all();
}

/** Throws VAULT_NOT_FOUND. */
export function vaultByName(core: Core, name: string): VaultSummary {
  const row = core.ledger
    .prepare<[string], VaultSummary>("SELECT name, kind, location FROM vaults WHERE name = ?")
    .get(name);
  if (row === undefined) {
    throw fail(
      "VAULT_NOT_FOUND",
      `There is no vault ${name} on this device.`,
      `Add it with: strongroom vault add folder ${name} --path DIR`,
      {
        subject: name,
      },
    );
  }
  return row;
}

export function openVaultByName(core: Core, name: string): Vault {
  return createFolderVault(vaultByName(core, name).location);
}
