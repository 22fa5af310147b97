import { hostname } from "node:os";
import type { ArtifactApi } from "../src-contract/artifacts.ts";
import type { Failure, Outcome } from "../src-contract/failure.ts";
import type { CallOptions } from "../src-contract/progress.ts";
import type { TransferApi } from "../src-contract/transfers.ts";
import {
  type ParsedRequest,
  type Request,
  type RequestName,
  requestSchemas,
} from "../src-contract/vault-api.ts";
import { catalogMigrations } from "./catalog/catalog-migrations/index.ts";
import { databaseFailure, openDatabase } from "./catalog/database.ts";
import { ledgerMigrations } from "./catalog/ledger-migrations/index.ts";
import { listPackages } from "./catalog/package-rows.ts";
import { vaultProblems } from "./catalog/vault-packages.ts";
import type { Core } from "./core.ts";
import { parseCredentialSource } from "./credentials/credential-source.ts";
import { createKeychain } from "./credentials/keychain.ts";
import { VaultCredentials } from "./credentials/vault-credentials.ts";
import {
  createEngagement,
  engagementById,
  listEngagements,
  setEngagementVault,
} from "./engagement/engagements.ts";
import { asFailure, fail, toOutcome } from "./failing.ts";
import { openHome } from "./home.ts";
import { systemClock, uuidV7 } from "./identity.ts";
import type { OpenedVault, OpenOptions } from "./open-vault.ts";
import { settleAbandonedBuilds } from "./package/build-journal.ts";
import { packageFaults, reconcileCatalog, requireLedger } from "./package/package-faults.ts";
import { programVersion, withRecords } from "./package/package-store.ts";
import { throttled } from "./throttle.ts";
import { OpenedStores } from "./vault/opened-stores.ts";
import { addFolderVault, listVaults, probeVault } from "./vault/vault-registry.ts";
import { vaultDetail } from "./vault/vault-rows.ts";

/** Opens the core in this state folder and settles what a killed process left behind. Throws what `openVault` answers. */
export async function openCalls(folder: string, options: OpenOptions): Promise<OpenedVault> {
  const core = await openCore(folder, options);
  try {
    await onDatabase(core.home.ledger, () => settleAbandonedBuilds(core));
    await onDatabase(core.home.catalog, () => reconcileCatalog(core));
    return calls(core);
  } catch (error) {
    closeCore(core);
    throw asFailure(error, core.home.folder);
  }
}

async function openCore(folder: string, options: OpenOptions): Promise<Core> {
  const credentials = vaultCredentials(options);
  const home = await openHome(folder);
  const ledger = openDatabase(home.ledger, ledgerMigrations, true);
  try {
    const catalog = openDatabase(home.catalog, catalogMigrations, false);
    const program = `Strongroom/${programVersion()}`;
    return {
      home,
      ledger,
      catalog,
      credentials,
      stores: new OpenedStores(),
      clock: systemClock,
      newId: uuidV7(systemClock),
      program,
      device: hostname(),
    };
  } catch (error) {
    ledger.close();
    throw error;
  }
}

function vaultCredentials({ env = process.env, credentials }: OpenOptions): VaultCredentials {
  const found = new VaultCredentials({ keychain: createKeychain({ env }), env });
  if (credentials !== undefined) found.override(parseCredentialSource(credentials));
  return found;
}

/** Names the database that a fault of SQLite is about. */
async function onDatabase(file: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw databaseFailure(error, file);
  }
}

function closeCore(core: Core): void {
  core.stores.close();
  core.catalog.close();
  core.ledger.close();
}

/** Tells the caller of something besides the answer. */
type Warn = (warning: Failure) => void;

/**
 * Parses what a face handed over and answers with data, whatever happens inside. Where the ledger was lost, only `restore` is done:
 * anything else would go on from an empty one.
 */
function method<N extends RequestName, T>(
  core: Core,
  name: N,
  work: (request: ParsedRequest<N>, options: CallOptions, warn: Warn) => T | Promise<T>,
): (request: Request<N>, options?: CallOptions) => Promise<Outcome<T>> {
  return async (request, options = {}) => {
    const warnings: Failure[] = [];
    const outcome = await toOutcome(() => {
      const parsed = parseRequest(name, request);
      if (name !== "restore") requireLedger(core);
      return work(parsed, throttled(options, core.clock), (warning) => void warnings.push(warning));
    });
    return outcome.ok && warnings.length > 0 ? { ...outcome, warnings } : outcome;
  };
}

function parseRequest<N extends RequestName>(name: N, request: unknown): ParsedRequest<N> {
  const parsed = requestSchemas[name].safeParse(request);
  if (parsed.success) return parsed.data as ParsedRequest<N>;
  const issues = parsed.error.issues.map((issue) => ({
    field: issue.path.join("."),
    problem: issue.message,
  }));
  throw fail(
    "INVALID_INPUT",
    issues.map(({ field, problem }) => (field === "" ? problem : `${field}: ${problem}`)).join("; "),
    "Correct what is named and try again.",
    { ...(issues[0] === undefined ? {} : { subject: issues[0].field }), details: { issues } },
  );
}

/** What only some calls need is loaded by them: a command line starts with every call. */
function calls(core: Core): OpenedVault {
  return {
    engagementCreate: method(core, "engagementCreate", (request) => createEngagement(core, request)),
    engagementSetVault: method(core, "engagementSetVault", (request) => setEngagementVault(core, request)),
    engagementList: method(core, "engagementList", () => listEngagements(core)),
    engagementShow: method(core, "engagementShow", ({ id }) => engagementById(core, id)),
    packageBuild: method(core, "packageBuild", async (request, options) => {
      const { buildPackage } = await import("./package/build-package.ts");
      return buildPackage(core, request, options);
    }),
    packageList: method(core, "packageList", async ({ engagement }, _options, warn) => {
      if (engagement !== undefined) engagementById(core, engagement);
      for (const { failure } of await packageFaults(core)) warn(failure);
      for (const { failure } of vaultProblems(core.catalog, engagement)) warn(failure);
      return listPackages(core.catalog, engagement).map((row) => withRecords(core, row));
    }),
    packageShow: method(core, "packageShow", async (request) => {
      const { showPackage } = await import("./package/package-queries.ts");
      return showPackage(core, request);
    }),
    packageFiles: method(core, "packageFiles", async (request, options) => {
      const { filesOfPackage } = await import("./package/package-queries.ts");
      return filesOfPackage(core, request, options);
    }),
    packagePush: method(core, "packagePush", async (request, options) => {
      const { pushToVault } = await import("./transfer/transport.ts");
      return pushToVault(core, request, options);
    }),
    packagePull: method(core, "packagePull", async (request, options) => {
      const { pullFromVault } = await import("./transfer/pull.ts");
      return pullFromVault(core, request, options);
    }),
    packageQueue: method(core, "packageQueue", async (request) => {
      const { queuePush } = await import("./transfer/queue-push.ts");
      return queuePush(core, request);
    }),
    ...transferCalls(core),
    ...artifactCalls(core),
    packageImport: method(core, "packageImport", async (request, options) => {
      const { importPackage } = await import("./package/import-package.ts");
      return importPackage(core, request, options);
    }),
    packageHandover: method(core, "packageHandover", async (request, options) => {
      const { handOver } = await import("./export/hand-over.ts");
      return handOver(core, request, options);
    }),
    verify: method(core, "verify", async (request, options) => {
      const { verifyTarget } = await import("./verify/verify-target.ts");
      return verifyTarget(core, request, options);
    }),
    manifestExport: method(core, "manifestExport", async (request, options) => {
      const { exportPackageManifest } = await import("./export/export-package.ts");
      return exportPackageManifest(core, request, options);
    }),
    vaultAddFolder: method(core, "vaultAddFolder", (request) => addFolderVault(core, request)),
    vaultAddS3: method(core, "vaultAddS3", async (request, _options, warn) => {
      const { addS3Vault } = await import("./vault/s3-registration.ts");
      return addS3Vault(core, request, warn);
    }),
    vaultSetCredentials: method(core, "vaultSetCredentials", async (request, _options, warn) => {
      const { setVaultCredentials } = await import("./vault/s3-registration.ts");
      return setVaultCredentials(core, request, warn);
    }),
    vaultList: method(core, "vaultList", () => listVaults(core)),
    vaultShow: method(core, "vaultShow", ({ name }) => vaultDetail(core, name)),
    vaultHealth: method(core, "vaultHealth", ({ name }) => probeVault(core, name)),
    sync: method(core, "sync", async (request, options, warn) => {
      const { syncVaults } = await import("./sync/sync-vaults.ts");
      return syncVaults(core, request, options, warn);
    }),
    backup: method(core, "backup", async (request, options, warn) => {
      const { makeBackup } = await import("./backup/make-backup.ts");
      return makeBackup(core, request, options, warn);
    }),
    restore: method(core, "restore", async (request, options, warn) => {
      const { restoreBackup } = await import("./backup/restore-backup.ts");
      return restoreBackup(core, request, options, warn);
    }),
    close: async () => closeCore(core),
  };
}

/** The streams that come with a call are no part of its options elsewhere. */
function artifactCalls(core: Core): ArtifactApi {
  return {
    artifactPut: (request, options = {}) =>
      method(core, "artifactPut", async (parsed, own, warn) => {
        const { putArtifact } = await import("./artifact/put-artifact.ts");
        return putArtifact(core, parsed, { ...options, ...own }, warn);
      })(request, options),
    artifactGet: (request, options = {}) =>
      method(core, "artifactGet", async (parsed, own, warn) => {
        const { getArtifact } = await import("./artifact/get-artifact.ts");
        return getArtifact(core, parsed, { ...options, ...own }, warn);
      })(request, options),
    artifactList: method(core, "artifactList", async (request, options) => {
      const { listArtifacts } = await import("./artifact/list-artifacts.ts");
      return listArtifacts(core, request, options);
    }),
  };
}

function transferCalls(core: Core): TransferApi {
  const control = () => import("./transfer/queue-control.ts");
  return {
    transfersList: method(core, "transfersList", async (request) => {
      const { listTransfers } = await import("./transfer/queue-standing.ts");
      return listTransfers(core, request);
    }),
    transferPause: method(core, "transferPause", async (request, options) =>
      (await control()).pauseTransfer(core, request, options),
    ),
    transferResume: method(core, "transferResume", async (request, options) =>
      (await control()).resumeTransfer(core, request, options),
    ),
    transferCancel: method(core, "transferCancel", async (request, options, warn) =>
      (await control()).cancelTransfer(core, request, options, warn),
    ),
    transfersSetLimit: method(core, "transfersSetLimit", async ({ bytesPerSecond }) => {
      const { keepLimit } = await import("./transfer/bandwidth-limit.ts");
      keepLimit(core.ledger, bytesPerSecond);
      return { bytesPerSecond };
    }),
    transfersOrphans: method(core, "transfersOrphans", async (request, options, warn) => {
      const { findOrphans } = await import("./transfer/queue-orphans.ts");
      return findOrphans(core, request, options, warn);
    }),
    runQueue: method(core, "runQueue", async (request, options) => {
      const { runQueue } = await import("./transfer/worker-run.ts");
      return runQueue(core, request, options);
    }),
  };
}
