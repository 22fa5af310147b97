import { resolve } from "node:path";
import { z } from "zod";
import type { ParsedRequest, VaultHealth, VaultSummary } from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import { fail } from "../failing.ts";
import { refuseInsideHome } from "../home.ts";
import { rfc3339FromMs } from "../package/times.ts";
import type { Vault } from "../ports.ts";
import { readSmallObject } from "../transfer/stored-seal.ts";
import { createFolderVault } from "./folder-vault.ts";

/** Remembers a folder as a vault after trying what it can do. Throws VAULT_EXISTS, VAULT_UNREACHABLE or VAULT_UNFIT. */
export async function addFolderVault(
  core: Core,
  request: ParsedRequest<"vaultAddFolder">,
): Promise<VaultSummary> {
  const location = resolve(request.path);
  await refuseInsideHome(core.home, location);
  const vault = createFolderVault(location);
  const health = await vault.health();
  if (!health.fit) throw unfit(request.name, location, health);
  const marker = (await readMarker(vault)) ?? (await writeMarker(vault, core.newId()));
  const { changes } = core.ledger
    .prepare(
      "INSERT INTO vaults (name, kind, location, marker, added) VALUES (?, 'folder', ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .run(request.name, location, marker, rfc3339FromMs(core.clock.now()));
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

/**
 * Opens a vault after making sure that it is the one that was added: a mount point whose disk is not mounted is an empty folder too,
 * and what is written there would be on the wrong disk. Throws VAULT_NOT_FOUND or VAULT_UNREACHABLE.
 */
export async function openVaultByName(core: Core, name: string): Promise<Vault> {
  const { location } = vaultByName(core, name);
  const vault = createFolderVault(location);
  const found = await readMarker(vault);
  const row = core.ledger
    .prepare<[string], { marker: string }>("SELECT marker FROM vaults WHERE name = ?")
    .get(name);
  if (found !== null && found === row?.marker) return vault;
  throw fail(
    "VAULT_UNREACHABLE",
    found === null
      ? `${location} is there, but vault ${name} is not in it (${MARKER_KEY} is missing).`
      : `${location} holds another vault than ${name}.`,
    "Mount or connect the disk or share that holds the vault, then run the command again.",
    { subject: location },
  );
}

/** A small file in the vault's root that tells vaults apart. */
const MARKER_KEY = "strongroom-vault.json";
const MARKER_CAP = 4096;
const markerSchema = z.object({ format: z.literal("strongroom-vault/1"), id: z.uuid() });

async function readMarker(vault: Vault): Promise<string | null> {
  const found = await readSmallObject(vault, MARKER_KEY, MARKER_CAP);
  if (found === null) return null;
  try {
    return markerSchema.parse(JSON.parse(Buffer.from(found.bytes ?? []).toString())).id;
  } catch (cause) {
    throw fail(
      "VAULT_UNFIT",
      `${MARKER_KEY} in ${vault.location} is damaged.`,
      "Restore it from another copy of the vault.",
      {
        subject: vault.location,
        cause,
      },
    );
  }
}

async function writeMarker(vault: Vault, id: string): Promise<string> {
  const marker = { format: "strongroom-vault/1", id };
  try {
    await vault.put(MARKER_KEY, Buffer.from(`${JSON.stringify(marker)}\n`));
    return id;
  } catch (error) {
    // Another process added the same folder in the same moment.
    const other = await readMarker(vault);
    if (other === null) throw error;
    return other;
  }
}
