import { copyFile, readdir, readFile, rename } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Failure } from "../../src-contract/failure.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { BackupResult, ParsedRequest } from "../../src-contract/vault-api.ts";
import { openDatabase } from "../catalog/database.ts";
import { ledgerMigrations } from "../catalog/ledger-migrations/index.ts";
import type { Core } from "../core.ts";
import type { KeychainSource } from "../credentials/credential-source.ts";
import { appendEvent } from "../custody/custody-log.ts";
import { inDraftFolder } from "../draft-folder.ts";
import { exists, syncFolder } from "../durable-files.ts";
import { asFailure, fail, throwIfCancelled } from "../failing.ts";
import { packageFaults } from "../package/package-faults.ts";
import { draftFolder, packageFolder, removeFolder } from "../package/package-store.ts";
import { parseSeal } from "../package/seal-file.ts";
import { rfc3339FromMs } from "../package/times.ts";
import { vaultRows } from "../vault/vault-rows.ts";
import { type Backup, backupSchema, copyFolder, digestFolder } from "./backup-files.ts";

/** Work that was under way when the backup was made is not taken over: its processes and drafts are elsewhere. */
const LEFT_OUT = new Set(["builds", "transfers", "transfer_objects", "transfer_parts", "workers"]);

/**
 * Brings a backup into a state folder that holds nothing yet; refuses one that does, since two histories cannot be joined.
 * Every file of the backup is compared with its digest before anything is written. Packages come first, the ledger last, in one
 * transaction: when it is cut short, run it again.
 */
export async function restoreBackup(
  core: Core,
  request: ParsedRequest<"restore">,
  options: CallOptions,
  warn: (warning: Failure) => void,
): Promise<BackupResult> {
  const folder = await backupFolder(resolve(request.from));
  refuseUsedHome(core);
  const backup = await readBackup(folder);
  await inDraftFolder(core.home.folder, "restore", async (scratch) => {
    // First, since a ledger from the future is refused before anything is written.
    const ledger = await currentLedger(join(folder, "ledger.db"), scratch);
    await restorePackages(core, folder, backup, options);
    restoreLedger(core, ledger);
  });
  for (const { failure } of await packageFaults(core)) warn(failure);
  await warnOfSecrets(core, warn);
  return { folder, packages: backup.packages, notHeld: backup.notHeld };
}

/** A backup holds no secrets: they are in the keychain of the device where they were given, which need not be this one. */
async function warnOfSecrets(core: Core, warn: (warning: Failure) => void): Promise<void> {
  for (const row of vaultRows(core)) {
    if (row.kind !== "s3" || row.credentials.kind !== "keychain") continue;
    const why = await whyNoSecret(core, row.credentials);
    if (why === null) continue;
    warn({
      code: "CREDENTIALS_MISSING",
      message: `Vault ${row.name} is back without its secret: ${why}`,
      nextStep: `Give it credentials with: strongroom vault set-credentials ${row.name}; or use --credentials env or --credentials profile:NAME.`,
      subject: row.name,
    });
  }
}

async function whyNoSecret(core: Core, source: KeychainSource): Promise<string | null> {
  try {
    const found = await core.credentials.read(source);
    return found === null ? "no backup holds secrets, and this device's keychain has none for it." : null;
  } catch (error) {
    return asFailure(error).failure.message;
  }
}

async function restorePackages(
  core: Core,
  folder: string,
  backup: Backup,
  options: CallOptions,
): Promise<void> {
  for (const [i, id] of backup.packages.entries()) {
    throwIfCancelled(options.signal);
    options.onProgress?.({
      phase: "copy",
      done: i,
      total: backup.packages.length,
      unit: "files",
      subject: id,
    });
    if (await exists(packageFolder(core, id))) {
      await requireSame(packageFolder(core, id), id, backup);
      continue;
    }
    const draft = draftFolder(core, id);
    // What a restore left that was killed.
    await removeFolder(draft);
    try {
      await copyFolder(join(folder, "packages", id), draft);
      await rename(draft, packageFolder(core, id));
    } catch (error) {
      await removeFolder(draft);
      throw asFailure(error, draft);
    }
  }
  await syncFolder(core.home.packages);
}

/** A package that is here already (the ledger alone was lost, or a restore was cut short) stays, if it has all that the backup has. */
async function requireSame(folder: string, id: string, backup: Backup): Promise<void> {
  const [here, prefix] = [await digestFolder(folder), `packages/${id}/`];
  const wrong = Object.entries(backup.files)
    .filter(([path]) => path.startsWith(prefix))
    .filter(([path, digest]) => here[path.slice(prefix.length)] !== digest)
    .map(([path]) => path.slice(prefix.length));
  if (wrong.length === 0) return;
  throw fail(
    "PATH_EXISTS",
    `${folder} is already there and differs from the backup in ${wrong.join(", ")}.`,
    "Move the folder away, then restore again: the package comes back from the backup.",
    { subject: folder, details: { paths: wrong } },
  );
}

async function backupFolder(from: string): Promise<string> {
  if (await exists(join(from, "backup.json"))) return from;
  const names = await readdir(from).catch((error: unknown) => {
    throw asFailure(error, from);
  });
  const backups = names.filter((name) => name.startsWith("strongroom-backup-")).sort();
  const [only, another] = backups;
  if (only !== undefined && another === undefined) return join(from, only);
  throw fail(
    "BACKUP_INVALID",
    only === undefined
      ? `${from} holds no backup.`
      : `${from} holds ${backups.length} backups: ${backups.join(", ")}.`,
    "Name the folder strongroom-backup-… that was made by: strongroom backup --to DIR",
    { subject: from },
  );
}

function refuseUsedHome(core: Core): void {
  const used = ["engagements", "vaults", "custody_events"].some((table) => {
    const row = core.ledger.prepare<[], { n: number }>(`SELECT count(*) AS n FROM ${table}`).get();
    return (row?.n ?? 0) > 0;
  });
  if (!used) return;
  throw fail(
    "PATH_EXISTS",
    `${core.home.folder} is in use; a backup is restored into an empty state folder only.`,
    "Set STRONGROOM_HOME to a new folder and restore there.",
    { subject: core.home.folder },
  );
}

async function readBackup(folder: string): Promise<Backup> {
  const file = join(folder, "backup.json");
  let backup: Backup;
  try {
    backup = backupSchema.parse(JSON.parse(await readFile(file, "utf8")));
  } catch (error) {
    throw damaged(folder, `${file} cannot be understood`, error);
  }
  const digests = await digestFolder(folder);
  delete digests["backup.json"];
  const paths = new Set([...Object.keys(digests), ...Object.keys(backup.files)]);
  const wrong = [...paths].filter((path) => digests[path] !== backup.files[path]);
  if (wrong.length > 0)
    throw damaged(
      folder,
      `${wrong.length === 1 ? "1 file is" : `${wrong.length} files are`} missing, added or changed: ${wrong.slice(0, 5).join(", ")}`,
    );
  const unlisted = backup.packages.filter((id) => backup.files[`packages/${id}/seal.json`] === undefined);
  if (unlisted.length > 0) throw damaged(folder, `packages without a seal: ${unlisted.join(", ")}`);
  for (const id of backup.packages) {
    const { packageId } = parseSeal(await readFile(join(folder, "packages", id, "seal.json")));
    if (packageId !== id) throw damaged(folder, `packages/${id} holds the seal of ${packageId}`);
  }
  return backup;
}

function damaged(folder: string, what: string, cause?: unknown): Error {
  return fail(
    "BACKUP_INVALID",
    `The backup ${folder} is damaged: ${what}.`,
    "Use another backup. Nothing was restored.",
    {
      subject: folder,
      cause,
    },
  );
}

/** A copy of the backup's ledger, brought to this program's schema; the backup itself stays as it is. */
async function currentLedger(file: string, scratch: string): Promise<string> {
  const copy = join(scratch, "ledger.db");
  await copyFile(file, copy);
  openDatabase(copy, ledgerMigrations, false).close();
  return copy;
}

function restoreLedger(core: Core, file: string): void {
  core.ledger.prepare("ATTACH DATABASE ? AS backup").run(file);
  try {
    core.ledger.transaction(() => copyRows(core)).immediate();
  } finally {
    core.ledger.exec("DETACH DATABASE backup");
  }
}

function copyRows(core: Core): void {
  core.ledger.pragma("defer_foreign_keys = ON");
  const tables = core.ledger
    .prepare<[], { name: string }>(
      "SELECT name FROM backup.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    )
    .all();
  for (const { name } of tables) {
    if (LEFT_OUT.has(name)) continue;
    core.ledger.exec(`INSERT INTO main."${name}" SELECT * FROM backup."${name}" ORDER BY 1`);
  }
  appendEvent(core.ledger, {
    time: rfc3339FromMs(core.clock.now()),
    type: "restored",
    packageId: null,
    engagement: null,
    details: { device: core.device },
  });
}
