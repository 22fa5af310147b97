import { mkdir, rename } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Failure } from "../../src-contract/failure.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { BackupResult, ParsedRequest } from "../../src-contract/vault-api.ts";
import { type CatalogedPackage, listPackages } from "../catalog/package-rows.ts";
import type { Core } from "../core.ts";
import { appendEvent } from "../custody/custody-log.ts";
import { inDraftFolder } from "../draft-folder.ts";
import { createFileDurably, makeFolders, syncFiles, syncFolder } from "../durable-files.ts";
import { throwIfCancelled, writeFailure } from "../failing.ts";
import { refuseInsideHome } from "../home.ts";
import { packageFaults } from "../package/package-faults.ts";
import { packageFolder, storedFromHere } from "../package/package-store.ts";
import { rfc3339FromMs } from "../package/times.ts";
import { type Backup, copyFolder, digestFolder } from "./backup-files.ts";

/**
 * Copies what is nowhere else: the ledger, and every package that is in no vault yet. Reference packages go along with seal, manifest
 * and plan, but their evidence is in its source folders only: they are named in the result. A package that is damaged on this device
 * does not go along, since no backup that holds it could be restored; `warn` tells of each. The folder gets its name when it is whole.
 */
export async function makeBackup(
  core: Core,
  request: ParsedRequest<"backup">,
  options: CallOptions,
  warn: (warning: Failure) => void,
): Promise<BackupResult> {
  const to = resolve(request.to);
  await refuseInsideHome(core.home, to);
  const made = rfc3339FromMs(core.clock.now());
  const folder = join(to, `strongroom-backup-${made.replace(/[:.]/g, "-")}`);
  try {
    await makeFolders(to);
    return await inDraftFolder(to, "backup", async (draft) => {
      const content = join(draft, "content");
      await mkdir(content, { mode: 0o700 });
      const backup = await fill(core, content, made, options, warn);
      await rename(content, folder);
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
    });
  } catch (error) {
    throw writeFailure(error, to);
  }
}

async function fill(
  core: Core,
  content: string,
  made: string,
  options: CallOptions,
  warn: (warning: Failure) => void,
): Promise<Backup> {
  // Before the ledger: so it tells of the sealing of every package that goes along, whatever other processes seal meanwhile.
  const unstored = await soundUnstored(core, warn);
  await core.ledger.backup(join(content, "ledger.db"));
  await syncFiles([join(content, "ledger.db")]);
  await mkdir(join(content, "packages"));
  for (const [i, row] of unstored.entries()) {
    throwIfCancelled(options.signal);
    options.onProgress?.({
      phase: "copy",
      done: i,
      total: unstored.length,
      unit: "files",
      subject: row.name,
    });
    await copyFolder(packageFolder(core, row.id), join(content, "packages", row.id));
  }
  await syncFolder(join(content, "packages"));
  const backup: Backup = {
    format: "strongroom-backup/1",
    made,
    device: core.device,
    packages: unstored.map((row) => row.id),
    notHeld: unstored.filter((row) => row.holding === "reference").map((row) => row.id),
    files: await digestFolder(content),
  };
  await createFileDurably(join(content, "backup.json"), `${JSON.stringify(backup, null, 1)}\n`);
  return backup;
}

async function soundUnstored(
  core: Core,
  warn: (warning: Failure) => void,
): Promise<readonly CatalogedPackage[]> {
  const faults = await packageFaults(core);
  for (const { failure } of faults) warn({ ...failure, message: `Not in the backup: ${failure.message}` });
  const faulty = new Set(faults.map(({ packageId }) => packageId));
  return listPackages(core.catalog).filter(
    (row) => row.holding !== "remote" && !faulty.has(row.id) && storedFromHere(core, row.id) === null,
  );
}
