import type { Failure } from "../../src-contract/failure.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { OrphanUpload } from "../../src-contract/transfers.ts";
import type { ParsedRequest } from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import { asFailure, throwIfCancelled } from "../failing.ts";
import { rfc3339FromMs } from "../package/times.ts";
import type { FoundUpload, Vault } from "../ports.ts";
import { listVaults, openVaultByName, vaultByName } from "../vault/vault-registry.ts";
import { dropLeftovers, rowsWithLeftovers } from "./queue-leftovers.ts";
import { runnerOf } from "./queue-standing.ts";

/** What this program stores lies below these; in a bucket without a prefix there may be uploads of other programs beside. */
const OUR_PREFIXES = ["engagements/", "campaigns/"];

/**
 * Lists the uploads in all vaults, or the one that is named, that no unfinished transfer of this device knows. With `abort` it drops those of transfers that were cancelled or failed
 * here, and those that are older than `olderThan`: another device may be busy with a younger one. What cannot be looked at or dropped is warned of,
 * but for a vault that was asked for by name.
 */
export async function findOrphans(
  core: Core,
  request: ParsedRequest<"transfersOrphans">,
  { signal }: CallOptions,
  warn: (warning: Failure) => void,
): Promise<readonly OrphanUpload[]> {
  const names =
    request.vault === undefined
      ? listVaults(core).map(({ name }) => name)
      : [vaultByName(core, request.vault).name];
  const journal = readJournal(core);
  const orphans: OrphanUpload[] = [];
  for (const name of names) {
    throwIfCancelled(signal);
    try {
      const vault = await openVaultByName(core, name);
      for (const orphan of await unknownUploads(vault, name, journal)) {
        throwIfCancelled(signal);
        const old = isOld(orphan, core.clock.now() - request.olderThan * 1000);
        const dropped =
          request.abort && (orphan.ours || old) && (await drop(core, vault, orphan, journal, warn));
        orphans.push({ ...orphan, dropped });
      }
    } catch (error) {
      const { failure } = asFailure(error);
      if (request.vault !== undefined || failure.code === "CANCELLED") throw error;
      warn(failure);
    }
  }
  if (request.abort) await dropTheRest(core, names, warn);
  return orphans;
}

interface Journal {
  /** Ids of uploads of unfinished transfers, and of those that somebody sees to right now. */
  readonly known: ReadonlySet<string>;
  /** Transfer by upload id, of those that are over. */
  readonly over: ReadonlyMap<string, string>;
}

function readJournal(core: Core): Journal {
  const now = core.clock.now();
  const idle = rowsWithLeftovers(core).filter((row) => runnerOf(row, now) === null);
  const over = new Set(idle.map(({ id }) => id));
  const objects = core.ledger
    .prepare<[], { transfer: string; uploadId: string }>(
      "SELECT transfer, upload_id AS uploadId FROM transfer_objects",
    )
    .all();
  return {
    known: new Set(objects.flatMap(({ transfer, uploadId }) => (over.has(transfer) ? [] : [uploadId]))),
    over: new Map(
      objects.flatMap(({ transfer, uploadId }) => (over.has(transfer) ? [[uploadId, transfer]] : [])),
    ),
  };
}

type Found = Omit<OrphanUpload, "dropped">;

async function unknownUploads(
  vault: Vault,
  name: string,
  { known, over }: Journal,
): Promise<readonly Found[]> {
  const found: Found[] = [];
  for (const prefix of OUR_PREFIXES) {
    for await (const upload of vault.listUploads(prefix)) {
      const { key, uploadId, begun } = upload;
      if (known.has(uploadId)) continue;
      const bytes = await sizeOf(vault, upload);
      if (bytes === null) continue;
      found.push({
        vault: name,
        key,
        uploadId,
        begun: begun === null ? null : rfc3339FromMs(begun),
        bytes,
        ours: over.has(uploadId),
      });
    }
  }
  return found;
}

/** Bytes that an upload holds; null when it is gone meanwhile. */
async function sizeOf(vault: Vault, { key, uploadId, bytes }: FoundUpload): Promise<number | null> {
  if (bytes !== undefined) return bytes;
  try {
    // Of a foreign upload no plan is known; a store that keeps the parts themselves needs none.
    const parts = await vault.listParts({ key, uploadId, size: 0, partSize: 0 });
    return parts.reduce((sum, { size }) => sum + size, 0);
  } catch (error) {
    if (asFailure(error).failure.code === "OBJECT_CHANGED") return null;
    throw error;
  }
}

/** One whose age the store does not tell is not known to be old. */
function isOld({ begun }: Found, before: number): boolean {
  return begun !== null && Date.parse(begun) <= before;
}

async function drop(
  core: Core,
  vault: Vault,
  { key, uploadId }: Found,
  { over }: Journal,
  warn: (warning: Failure) => void,
): Promise<boolean> {
  try {
    const transfer = over.get(uploadId);
    if (transfer === undefined) await vault.abortUpload({ key, uploadId });
    else await dropLeftovers(core, transfer);
    return true;
  } catch (error) {
    warn(asFailure(error).failure);
    return false;
  }
}

/** What transfers left that is in no listing: files of pulls, and uploads that are gone already. */
async function dropTheRest(
  core: Core,
  vaults: readonly string[],
  warn: (warning: Failure) => void,
): Promise<void> {
  const now = core.clock.now();
  for (const row of rowsWithLeftovers(core)) {
    const elsewhere = row.direction === "push" && !vaults.includes(row.vault);
    if (elsewhere || runnerOf(row, now) !== null) continue;
    try {
      await dropLeftovers(core, row.id);
    } catch (error) {
      warn(asFailure(error).failure);
    }
  }
}
