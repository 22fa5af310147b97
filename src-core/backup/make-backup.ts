import { mkdir, mkdtemp, rename } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { BackupResult, ParsedRequest } from "../../src-contract/vault-api.ts";
import { listPackages } from "../catalog/package-rows.ts";
import type { Core } from "../core.ts";
import { appendEvent } from "../custody/custody-log.ts";
import { createFileDurably, makeFolders, syncFolder } from "../durable-files.ts";
import { asFailure, throwIfCancelled } from "../failing.ts";
import { packageFolder, removeFolder, storedIn } from "../package/package-store.ts";
import { rfc3339FromMs } from "../package/times.ts";
import { type Backup, copyFolder, digestFolder } from "./backup-files.ts";

/**
 * Copies what is nowhere else: the ledger, and every package that is in no vault yet. Reference packages go along with seal, manifest
 * and plan, but their evidence is in its source folders only: they are named in the result. The folder gets its name when it is whole.
 */
export async function makeBackup(
  core: Core,
  request: ParsedRequest<"backup">,
  options: CallOptions,
): Promise<BackupResult> {
  const to = resolve(request.to);
  const made = rfc3339FromMs(core.clock.now());
  const folder = join(to, `strongroom-backup-${made.replace(/[:.]/g, "-")}`);
  await makeFolders(to).catch((error: unknown) => {
    throw asFailure(error, to);
  });
  const draft = await mkdtemp(join(to, ".strongroom-backup-"));
  try {
    // Before the ledger: so it tells of the sealing of every package that goes along, whatever other processes seal meanwhile.
    const unstored = listPackages(core.catalog).filter(
      (row) => row.holding !== "remote" && storedIn(core, row.id) === null,
    );
    await core.ledger.backup(join(draft, "ledger.db"));
    await mkdir(join(draft, "packages"));
    for (const [i, row] of unstored.entries()) {
      throwIfCancelled(options.signal);
      options.onProgress?.({
        phase: "copy",
        done: i,
        total: unstored.length,
        unit: "files",
        subject: row.name,
      });
      await copyFolder(packageFolder(core, row.id), join(draft, "packages", row.id));
    }
    const backup: Backup = {
      format: "strongroom-backup/1",
      made,
      device: core.device,
      packages: unstored.map((row) => row.id),
      notHeld: unstored.filter((row) => row.holding === "reference").map((row) => row.id),
      files: await digestFolder(draft),
    };
    await createFileDurably(join(draft, "backup.json"), `${JSON.stringify(backup, null, 1)}\n`);
    await rename(draft, folder);
    await syncFolder(to);
    // Only now: the log tells of backups that are there.
    appendEvent(core.ledger, {
      time: made,
      type: "backup-made",
      packageId: null,
      engagement: null,
      details: { device: core.device },
    });
    return { folder, packages: backup.packages, notHeld: backup.notHeld };
  } catch (error) {
    await removeFolder(draft);
    throw asFailure(error, to);
  }
}
