import type { Failure } from "../../src-contract/failure.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { ParsedRequest, SyncedEngagement, SyncResult } from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import { engagementById, listEngagements } from "../engagement/engagements.ts";
import { FailureError, fail } from "../failing.ts";
import { syncEngagement } from "./sync-engagement.ts";

interface Place {
  readonly engagement: string;
  readonly vaultName: string;
}

/**
 * Syncs one engagement, or all that have a vault, one after another; one whose vault cannot be reached does not keep the others from it.
 * `warn` tells of every package with which something is wrong. Throws VAULT_MISSING where there is no vault to sync with, and when nothing could be
 * synced at all, why.
 */
export async function syncVaults(
  core: Core,
  request: ParsedRequest<"sync">,
  options: CallOptions,
  warn: (warning: Failure) => void,
): Promise<SyncResult> {
  const engagements: SyncedEngagement[] = [];
  for (const place of placesToSync(core, request.engagement)) {
    const { synced, problems } = await syncEngagement(core, place, options);
    engagements.push(synced);
    for (const { packageId, failure } of problems) {
      const details = { ...failure.details, engagement: place.engagement, package: packageId };
      warn({ ...failure, details });
    }
  }
  const failures = engagements.flatMap(({ failure }) => failure ?? []);
  const [first] = failures;
  if (first !== undefined && failures.length === engagements.length) throw nothingSynced(engagements, first);
  return { engagements };
}

function placesToSync(core: Core, id: string | undefined): readonly Place[] {
  const asked = id === undefined ? listEngagements(core) : [engagementById(core, id)];
  const places = asked.flatMap(({ id: engagement, vault }) =>
    vault === null ? [] : [{ engagement, vaultName: vault }],
  );
  if (places.length > 0) return places;
  const [first] = asked;
  if (first === undefined) {
    throw fail(
      "VAULT_MISSING",
      "There is no engagement on this device, so there is no vault to sync with.",
      "Join one by its id, with the vault that holds its packages: strongroom engagement create ID --vault NAME",
    );
  }
  throw fail(
    "VAULT_MISSING",
    id === undefined
      ? "No engagement on this device has a vault to sync with."
      : `Engagement ${id} has no vault to sync with.`,
    `Give it one: strongroom engagement set-vault ${first.id} NAME`,
    { subject: first.id },
  );
}

/** One engagement's own failure; of several the one that they share, or VAULT_UNREACHABLE with each one's reason. */
function nothingSynced(engagements: readonly SyncedEngagement[], first: Failure): FailureError {
  if (engagements.length === 1) return new FailureError(first);
  const shared = (field: "code" | "nextStep") =>
    engagements.every(({ failure }) => failure?.[field] === first[field]);
  const reasons = engagements.map(({ engagement, vault, failure }) => ({
    code: failure?.code,
    path: `${engagement} in vault ${vault}`,
    message: failure?.message,
  }));
  return fail(
    shared("code") ? first.code : "VAULT_UNREACHABLE",
    `None of ${engagements.length} engagements could be synced.`,
    shared("nextStep")
      ? first.nextStep
      : "See each one's reason; sync one alone with: strongroom sync ENGAGEMENT",
    { details: { engagements: reasons } },
  );
}
