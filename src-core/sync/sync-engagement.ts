import type { Failure, FailureCode } from "../../src-contract/failure.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { SyncedEngagement } from "../../src-contract/vault-api.ts";
import { markGone, replaceProblems, type VaultProblem, vaultPackage } from "../catalog/vault-packages.ts";
import type { Core } from "../core.ts";
import { inDraftFolder } from "../draft-folder.ts";
import { asFailure } from "../failing.ts";
import { rfc3339FromMs } from "../package/times.ts";
import { pacing } from "../transfer/pacing.ts";
import { inLanes } from "../transfer/part-lanes.ts";
import { withRetry } from "../transfer/steady-vault.ts";
import type { StoredPackage } from "../vault/vault-keys.ts";
import { openVaultByName } from "../vault/vault-registry.ts";
import { learnPackage, type SyncPlace } from "./learn-package.ts";
import { lookAtVault } from "./look-at-vault.ts";
import { type SentPackages, sendQueued } from "./send-queued.ts";

/** Packages that are learnt at once, where the vault stands so many: most of the time is spent waiting, and each takes about 16 MB. */
const AT_ONCE = 6;

/** What is wrong with one package and says nothing of the others. */
const OF_ONE_PACKAGE: ReadonlySet<FailureCode> = new Set([
  "SEAL_INVALID",
  "MANIFEST_INVALID",
  "DIGEST_MISMATCH",
  "NOT_VALID",
  "OBJECT_CHANGED",
  "OBJECT_CONFLICT",
  "PACKAGE_NOT_STORED",
  "PERMISSION_MISSING",
  "PATH_NOT_EVIDENCE",
  "PATH_UNREADABLE",
  "WRITE_REFUSED",
  "INVALID_INPUT",
  "IO_ERROR",
]);
/** After these the vault does not hold the package that was seen there before; the others may be over at the next look. */
const NOT_THERE: ReadonlySet<FailureCode> = new Set([
  "SEAL_INVALID",
  "NOT_VALID",
  "OBJECT_CONFLICT",
  "PACKAGE_NOT_STORED",
]);
/** With these no other engagement would fare better. */
const OF_THIS_DEVICE: ReadonlySet<FailureCode> = new Set([
  "CANCELLED",
  "DATABASE_BUSY",
  "DATABASE_DAMAGED",
  "DATABASE_NEWER",
  "HOME_UNUSABLE",
  "INTERNAL",
]);

export interface EngagementSync {
  readonly synced: SyncedEngagement;
  readonly problems: readonly VaultProblem[];
}

/**
 * Syncs one engagement with its vault. What is wrong with single packages, or keeps the vault from being looked through, is in the answer;
 * what was learnt before that stays learnt. Throws CANCELLED and what is wrong with this device itself.
 */
export async function syncEngagement(
  core: Core,
  { engagement, vaultName }: { readonly engagement: string; readonly vaultName: string },
  options: CallOptions,
): Promise<EngagementSync> {
  const run = new Run(core, engagement, vaultName, options);
  let failure: Failure | null = null;
  try {
    await run.go();
  } catch (error) {
    failure = asFailure(error).failure;
    if (OF_THIS_DEVICE.has(failure.code)) throw error;
  } finally {
    replaceProblems(core.catalog, engagement, run.problems, run.lookedAt);
  }
  const { stored } = run;
  const problems = [...run.sent.problems, ...run.problems].toSorted((a, b) =>
    a.packageId < b.packageId ? -1 : 1,
  );
  const counts = { sent: run.sent.sent, added: run.added.toSorted(), stored, problems: problems.length };
  return { synced: { engagement, vault: vaultName, ...counts, failure }, problems };
}

class Run {
  sent: SentPackages = { sent: 0, problems: [] };
  readonly added: string[] = [];
  /** What is wrong with packages in the vault. */
  readonly problems: VaultProblem[] = [];
  stored: number | null = null;
  lookedAt: Set<string> | "all" = new Set();
  readonly #core: Core;
  readonly #engagement: string;
  readonly #vaultName: string;
  readonly #options: CallOptions;

  constructor(core: Core, engagement: string, vaultName: string, options: CallOptions) {
    this.#core = core;
    this.#engagement = engagement;
    this.#vaultName = vaultName;
    this.#options = options;
  }

  async go(): Promise<void> {
    const { signal } = this.#options;
    const opened = await openVaultByName(this.#core, this.#vaultName);
    this.sent = await sendQueued(
      this.#core,
      { engagement: this.#engagement, vaultName: this.#vaultName },
      this.#options,
    );
    const most = Math.min(AT_ONCE, opened.lanes.most);
    const { lanes, retry } = pacing({ vault: opened, clock: this.#core.clock, lanes: most });
    const vault = withRetry(opened, retry, signal);
    const place = { core: this.#core, engagement: this.#engagement, vaultName: this.#vaultName, vault };
    const { stored, toLearn, problems } = await lookAtVault(place, this.#options);
    this.stored = stored;
    this.problems.push(...problems);
    if (toLearn.length > 0) {
      await inDraftFolder(this.#core.home.folder, "sync", async (scratch) => {
        const packages = toLearn.map((found) => ({ found, size: found.manifest?.size ?? 0 }));
        let done = 0;
        this.#progress(done, toLearn.length);
        await inLanes(packages, lanes, signal, async ({ found }, stop) => {
          await this.#learn(place, found, scratch, stop);
          this.#progress(++done, toLearn.length);
        });
      });
    }
    this.lookedAt = "all";
  }

  #progress(done: number, total: number): void {
    this.#options.onProgress?.({
      phase: "fetch manifests",
      done,
      total,
      unit: "packages",
      subject: this.#engagement,
    });
  }

  async #learn(place: SyncPlace, found: StoredPackage, scratch: string, signal: CallOptions["signal"]) {
    const { packageId } = found;
    try {
      if (await learnPackage(place, found, scratch, signal)) this.added.push(packageId);
    } catch (error) {
      const { failure } = asFailure(error);
      if (!OF_ONE_PACKAGE.has(failure.code)) throw error;
      const seen = vaultPackage(this.#core.catalog, packageId);
      if (seen !== null && NOT_THERE.has(failure.code))
        markGone(this.#core.catalog, seen, rfc3339FromMs(this.#core.clock.now()));
      this.problems.push({ packageId, failure });
    }
    if (this.lookedAt !== "all") this.lookedAt.add(packageId);
  }
}
