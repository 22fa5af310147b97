import { hostname } from "node:os";
import type { Outcome } from "../src-contract/failure.ts";
import type { CallOptions } from "../src-contract/progress.ts";
import {
  type ParsedRequest,
  type Request,
  requestSchemas,
  type VaultApi,
} from "../src-contract/vault-api.ts";
import { makeBackup } from "./backup/make-backup.ts";
import { restoreBackup } from "./backup/restore-backup.ts";
import { catalogMigrations } from "./catalog/catalog-migrations/index.ts";
import { openDatabase } from "./catalog/database.ts";
import { ledgerMigrations } from "./catalog/ledger-migrations/index.ts";
import { listPackages } from "./catalog/package-rows.ts";
import type { Core } from "./core.ts";
import {
  createEngagement,
  engagementById,
  listEngagements,
  setEngagementVault,
} from "./engagement/engagements.ts";
import { exportPackageManifest } from "./export/export-package.ts";
import { handOver } from "./export/hand-over.ts";
import { asFailure, fail, toOutcome } from "./failing.ts";
import { homeFolder, openHome } from "./home.ts";
import { systemClock, uuidV7 } from "./identity.ts";
import { settleAbandonedBuilds } from "./package/build-journal.ts";
import { buildPackage } from "./package/build-package.ts";
import { importPackage } from "./package/import-package.ts";
import { filesOfPackage, showPackage } from "./package/package-queries.ts";
import { programVersion, reconcileCatalog, storedIn } from "./package/package-store.ts";
import { throttled } from "./throttle.ts";
import { pullFromVault } from "./transfer/pull.ts";
import { pushToVault } from "./transfer/transport.ts";
import { addFolderVault, listVaults, openVaultByName } from "./vault/vault-registry.ts";
import { verifyTarget } from "./verify/verify-target.ts";

export interface OpenOptions {
  /** The state folder; else `$STRONGROOM_HOME` or the platform's. */
  readonly home?: string;
  readonly env?: NodeJS.ProcessEnv;
}

export type OpenedVault = VaultApi & { close(): Promise<void> };

/**
 * Opens the core: the one door for every face. Settles what a killed process left behind. Answers a Failure when the state folder
 * cannot be used or was written by a newer program; nothing is changed then.
 */
export async function openVault(options: OpenOptions = {}): Promise<Outcome<OpenedVault>> {
  return toOutcome(async () => {
    const core = openCore(options);
    try {
      await settleAbandonedBuilds(core);
      await reconcileCatalog(core);
      return api(core);
    } catch (error) {
      closeCore(core);
      throw asFailure(error, core.home.folder);
    }
  });
}

function openCore(options: OpenOptions): Core {
  const home = openHome(options.home ?? homeFolder(options.env ?? process.env));
  const ledger = openDatabase(home.ledger, ledgerMigrations, true);
  try {
    const catalog = openDatabase(home.catalog, catalogMigrations, false);
    const program = `Strongroom/${programVersion()}`;
    return {
      home,
      ledger,
      catalog,
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

function closeCore(core: Core): void {
  core.catalog.close();
  core.ledger.close();
}

type RequestName = keyof typeof requestSchemas;

/** Parses what a face handed over and answers with data, whatever happens inside. */
function method<N extends RequestName, T>(
  core: Core,
  name: N,
  work: (request: ParsedRequest<N>, options: CallOptions) => T | Promise<T>,
): (request: Request<N>, options?: CallOptions) => Promise<Outcome<T>> {
  return (request, options = {}) =>
    toOutcome(() => work(parseRequest(name, request), throttled(options, core.clock)));
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

function api(core: Core): OpenedVault {
  return {
    engagementCreate: method(core, "engagementCreate", (request) => createEngagement(core, request)),
    engagementSetVault: method(core, "engagementSetVault", (request) => setEngagementVault(core, request)),
    engagementList: method(core, "engagementList", () => listEngagements(core)),
    engagementShow: method(core, "engagementShow", ({ id }) => engagementById(core, id)),
    packageBuild: method(core, "packageBuild", (request, options) => buildPackage(core, request, options)),
    packageList: method(core, "packageList", ({ engagement }) => {
      if (engagement !== undefined) engagementById(core, engagement);
      return listPackages(core.catalog, engagement).map((row) => ({
        ...row,
        storedIn: storedIn(core, row.id),
      }));
    }),
    packageShow: method(core, "packageShow", (request) => showPackage(core, request)),
    packageFiles: method(core, "packageFiles", (request, options) => filesOfPackage(core, request, options)),
    packagePush: method(core, "packagePush", (request, options) => pushToVault(core, request, options)),
    packagePull: method(core, "packagePull", (request, options) => pullFromVault(core, request, options)),
    packageImport: method(core, "packageImport", (request, options) => importPackage(core, request, options)),
    packageHandover: method(core, "packageHandover", (request, options) => handOver(core, request, options)),
    verify: method(core, "verify", (request, options) => verifyTarget(core, request, options)),
    manifestExport: method(core, "manifestExport", (request, options) =>
      exportPackageManifest(core, request, options),
    ),
    vaultAddFolder: method(core, "vaultAddFolder", (request) => addFolderVault(core, request)),
    vaultList: method(core, "vaultList", () => listVaults(core)),
    vaultHealth: method(core, "vaultHealth", async ({ name }) =>
      (await openVaultByName(core, name)).health(),
    ),
    backup: method(core, "backup", (request, options) => makeBackup(core, request, options)),
    restore: method(core, "restore", (request, options) => restoreBackup(core, request, options)),
    close: async () => closeCore(core),
  };
}
