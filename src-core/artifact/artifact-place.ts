import { engagementIdSchema } from "../../src-contract/names.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { Core } from "../core.ts";
import { listEngagements } from "../engagement/engagements.ts";
import { fail } from "../failing.ts";
import type { ObjectInfo, Vault } from "../ports.ts";
import { type Pacing, pacing } from "../transfer/pacing.ts";
import { withRetry } from "../transfer/steady-vault.ts";
import { openVaultByName } from "../vault/vault-registry.ts";

/** Where the artifacts of one audit are, and how work with them goes about. */
export interface ArtifactPlace extends Pacing {
  readonly audit: string;
  readonly vaultName: string;
  /** Its small requests are tried again. */
  readonly vault: Vault;
  /** The engagement of that id, where this device has one. */
  readonly engagement: string | null;
  /** `campaigns/<audit>/`. */
  readonly prefix: string;
}

/**
 * Finds the vault: the one that is named, else that of the engagement with the audit's id. Throws VAULT_MISSING where neither tells, and what opening it
 * throws.
 */
export async function artifactPlace(
  core: Core,
  request: { readonly audit: string; readonly vault?: string | undefined },
  { signal }: CallOptions,
): Promise<ArtifactPlace> {
  const { audit } = request;
  const known = engagementIdSchema.safeParse(audit).success
    ? listEngagements(core).find(({ id }) => id === audit)
    : undefined;
  const vaultName = request.vault ?? known?.vault ?? null;
  if (vaultName === null) {
    throw fail(
      "VAULT_MISSING",
      known === undefined
        ? `No vault is named, and this device has no engagement ${audit} that could tell it.`
        : `No vault is named, and engagement ${audit} has none.`,
      known === undefined
        ? "Name the vault: --vault NAME. List vaults with: strongroom vault list"
        : `Name the vault: --vault NAME, or give the engagement one: strongroom engagement set-vault ${audit} NAME`,
      { subject: audit },
    );
  }
  const opened = await openVaultByName(core, vaultName);
  const pace = pacing({ vault: opened, clock: core.clock });
  return {
    ...pace,
    audit,
    vaultName,
    vault: withRetry(opened, pace.retry, signal),
    engagement: known?.id ?? null,
    prefix: `campaigns/${audit}/`,
  };
}

/** SHA-256 (lower-case hex) as it is kept with an artifact; null for one of another program that keeps none of this form. `info` is from `head`. */
export function keptDigest({ metadata }: ObjectInfo): string | null {
  const kept = metadata?.sha256?.toLowerCase() ?? "";
  return /^[0-9a-f]{64}$/.test(kept) ? kept : null;
}
