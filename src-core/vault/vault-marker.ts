import { z } from "zod";
import { fail } from "../failing.ts";
import type { Vault } from "../ports.ts";
import { readSmallObject } from "../transfer/stored-seal.ts";

/** A small object in the vault's root that tells vaults apart. */
export const MARKER_KEY = "strongroom-vault.json";
const MARKER_CAP = 4096;
const markerSchema = z.object({ format: z.literal("strongroom-vault/1"), id: z.uuid() });
/** The id in the object's metadata, where a store keeps such: one request tells it. */
const ID_METADATA = "vault-id";

/** The id in the vault's marker; null when it has none. Throws VAULT_UNFIT when it is damaged. */
export async function readMarker(vault: Vault): Promise<string | null> {
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

/** Makes the marker of a vault that has none. Answers with the id in it, which may be that of another process. */
export async function writeMarker(vault: Vault, id: string): Promise<string> {
  const marker = { format: "strongroom-vault/1", id };
  try {
    await vault.put(MARKER_KEY, Buffer.from(`${JSON.stringify(marker)}\n`), {
      metadata: { [ID_METADATA]: id },
    });
    return id;
  } catch (error) {
    // Another process added the same place in the same moment.
    const other = await readMarker(vault);
    if (other === null) throw error;
    return other;
  }
}

/** Throws VAULT_UNREACHABLE unless the vault that was added, with this id in its marker, is in the place. */
export async function requireMarker(vault: Vault, name: string, id: string): Promise<void> {
  const head = vault.kind === "s3" ? await vault.head(MARKER_KEY) : null;
  if (head?.metadata?.[ID_METADATA] === id) return;
  const found = await readMarker(vault);
  if (found === id) return;
  throw fail(
    "VAULT_UNREACHABLE",
    found === null
      ? `${vault.location} is there, but vault ${name} is not in it (${MARKER_KEY} is missing).`
      : `${vault.location} holds another vault than ${name}.`,
    vault.kind === "folder"
      ? "Mount or connect the disk or share that holds the vault, then run the command again."
      : "Find out who emptied or replaced the bucket, and whether the endpoint still leads to the same store.",
    { subject: vault.location },
  );
}
