import type { Core } from "../core.ts";
import { removeFolder } from "../package/package-store.ts";
import { sealKey } from "../vault/vault-keys.ts";
import { openVaultByName } from "../vault/vault-registry.ts";
import type { TransferLease } from "./journal.ts";
import { leaseLeftovers, letGo } from "./queue-lease.ts";
import { type QueueRow, queueRow, selectQueue } from "./queue-rows.ts";

/** A row that is over, or failed, and may have left something in a vault or a folder. */
const LEFT_SOMETHING = `(wish = 'cancel'
  OR state = 'failed' AND cause IS NOT NULL AND EXISTS (SELECT 1 FROM transfer_objects WHERE transfer = t.id))`;

/** Transfers that were cancelled or failed and whose uploads or files are not all gone yet; somebody may be running one. */
export function rowsWithLeftovers(core: Core): readonly QueueRow[] {
  return selectQueue(core.ledger, `${LEFT_SOMETHING} ORDER BY updated`);
}

/**
 * Ends a transfer that is to be cancelled, and does away with what it or a failed one left: uploads in the vault, what was fetched. Throws BUSY while
 * somebody runs it, and the vault's failure; what is left then stays noted. Answers with the key of an archive that is whole in the vault and has no
 * seal; it is not taken away, since another device may be about to seal it.
 */
export async function dropLeftovers(core: Core, id: string): Promise<string | null> {
  const lease = leaseLeftovers(core.ledger, id, core.clock);
  try {
    const row = queueRow(core.ledger, id);
    if (row.wish === "cancel") lease.cancel();
    const unsealed = row.direction === "push" ? await dropUploads(core, lease, row) : null;
    if (row.direction === "pull") await dropFetched(core, row);
    lease.forgetLeftovers();
    return unsealed;
  } finally {
    letGo(lease);
  }
}

async function dropUploads(core: Core, lease: TransferLease, row: QueueRow): Promise<string | null> {
  const uploads = lease.uploads();
  if (uploads.length === 0) return null;
  const vault = await openVaultByName(core, row.vault);
  for (const upload of uploads) {
    await vault.abortUpload(upload);
    lease.dropUpload(upload.key);
  }
  const sealed = await vault.head(sealKey(row.engagement, row.package_id));
  return sealed === null && (await vault.head(row.target)) !== null ? row.target : null;
}

/** All of a pull lies in its own folder; the journal of the fetching inside it goes with it. */
async function dropFetched({ ledger }: Core, { target, package_id }: QueueRow): Promise<void> {
  await removeFolder(target);
  ledger
    .prepare(
      `DELETE FROM transfers WHERE direction = 'pull' AND folder IS NULL AND package_id = :id
         AND substr(target, 1, length(:target)) = :target AND target <> :target`,
    )
    .run({ id: package_id, target });
}
