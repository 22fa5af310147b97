import type { CallOptions } from "../../src-contract/progress.ts";
import type { ParsedRequest, PushResult } from "../../src-contract/vault-api.ts";
import { rememberArchive, rememberedArchive } from "../catalog/seen-archives.ts";
import { clearGone } from "../catalog/vault-packages.ts";
import type { Core } from "../core.ts";
import { appendEvent } from "../custody/custody-log.ts";
import { engagementById } from "../engagement/engagements.ts";
import { asFailure, fail } from "../failing.ts";
import {
  type LocalPackage,
  loadPackage,
  openArchive,
  requireBytes,
  requireManifest,
  resolvePackage,
  signatureFiles,
} from "../package/package-store.ts";
import { rfc3339FromMs } from "../package/times.ts";
import type { Vault } from "../ports.ts";
import { openVaultByName } from "../vault/vault-registry.ts";
import { type Mismatch, verifyReference } from "../verify/verify-reference.ts";
import { withBandwidth } from "./bandwidth-limit.ts";
import { pacedVault } from "./bandwidth-vault.ts";
import type { TransferLease, TransferPlan } from "./journal.ts";
import { type PushedPackage, pushPackage } from "./push-package.ts";
import { leaseTransfer } from "./queue-lease.ts";
import { pushPlan, type QueueRow } from "./queue-rows.ts";
import { type RunOptions, underLease } from "./queue-run.ts";

/** The vault of an engagement's packages. Throws ENGAGEMENT_NOT_FOUND or VAULT_MISSING. */
export async function vaultOfPackage(
  core: Core,
  place: { readonly engagement: string },
): Promise<{ readonly name: string; readonly vault: Vault }> {
  const name = vaultNameOf(core, place);
  return { name, vault: await openVaultByName(core, name) };
}

function vaultNameOf(core: Core, { engagement }: { readonly engagement: string }): string {
  const { vault } = engagementById(core, engagement);
  if (vault !== null) return vault;
  throw fail(
    "VAULT_MISSING",
    `Engagement ${engagement} has no vault.`,
    `Give it one: strongroom engagement set-vault ${engagement} NAME`,
    { subject: engagement },
  );
}

/**
 * Sends a package into its engagement's vault; see push-package.ts for what holds when it is interrupted. From here on it is in the queue, until it is
 * stored or cancelled.
 */
export async function pushToVault(
  core: Core,
  request: ParsedRequest<"packagePush">,
  options: CallOptions,
): Promise<PushResult> {
  const { local, vaultName, plan } = await plannedPush(core, request.package);
  const lease = leaseTransfer(core.ledger, plan, core.clock, request.priority);
  return withBandwidth(core.ledger, request.limit, (bandwidth) =>
    underLease(lease, core.clock, local.seal.archiveSize, { ...options, bandwidth }, (run) =>
      push(core, lease, local, vaultName, run),
    ),
  );
}

/** What a push needs to be entered in the queue. Throws what keeps it from ever being sent from here. */
export async function plannedPush(
  core: Core,
  ref: string,
): Promise<{ readonly local: LocalPackage; readonly vaultName: string; readonly plan: TransferPlan }> {
  const summary = resolvePackage(core, ref);
  const local = await loadPackage(core, summary.id);
  const vaultName = vaultNameOf(core, summary);
  await requireManifest(local);
  await requireBytes(local);
  return { local, vaultName, plan: pushPlan(local.seal, local.packageDigest, vaultName) };
}

/** Runs a push that waits in the queue, whose lease is held. */
export async function pushQueued(
  core: Core,
  lease: TransferLease,
  { package_id: id, vault }: QueueRow,
  run: RunOptions,
): Promise<PushResult> {
  const local = await loadPackage(core, id);
  await requireManifest(local);
  return push(core, lease, local, vault, run);
}

async function push(
  core: Core,
  lease: TransferLease,
  local: LocalPackage,
  vaultName: string,
  { bandwidth, ...options }: RunOptions,
): Promise<PushResult> {
  const { packageId, engagement } = local.seal;
  const vault = await openVaultByName(core, vaultName);
  const archive = await openArchive(local);
  try {
    const signatures = await signatureFiles(`${local.folder}/signatures`);
    const pushed = await pushPackage({
      vault: pacedVault(vault, bandwidth),
      vaultName,
      db: core.ledger,
      lease,
      engagement,
      seal: local.seal,
      sealBytes: local.sealBytes,
      archive,
      manifestFile: local.manifestFile,
      signatureFiles: signatures.map(({ path }) => path),
      actor: actorName(core.device),
      clock: core.clock,
      signal: options.signal,
      onProgress: options.onProgress,
      retry: options.retry,
      onMismatch: async (_part, offset, size) => {
        if (local.holding === "held") throw damagedArchive(local);
        await nameChangedFiles(local, { start: offset, end: offset + size }, options);
      },
      onStored: (stored) => recordStored(core, local, vaultName, stored),
    });
    return {
      package: packageId,
      vault: vaultName,
      bytes: pushed.bytes,
      alreadyStored: pushed.alreadyStored,
      method: pushed.method,
    };
  } catch (error) {
    // A source that cannot be read as it was: others may have changed too, and all are named.
    const { code, details } = asFailure(error).failure;
    if (code === "SOURCE_CHANGED" && details?.paths === undefined) {
      await nameChangedFiles(local, { start: 0, end: 0 }, options);
    }
    throw error;
  } finally {
    await archive.close();
  }
}

function damagedArchive({ archiveFile, seal }: LocalPackage): Error {
  return fail(
    "DIGEST_MISMATCH",
    `${archiveFile} is not what was sealed. It was not stored.`,
    `See what differs: strongroom verify ${seal.packageId} --full. Restore the package from a backup.`,
    { subject: archiveFile },
  );
}

/** A device's name as a segment of a key. */
export function actorName(device: string): string {
  return (
    device
      .replace(/[^A-Za-z0-9-]/g, "-")
      .replace(/^-+/, "")
      .slice(0, 40) || "device"
  );
}

/** Throws SOURCE_CHANGED with all files of a reference package that are not what was sealed; returns when there are none. */
async function nameChangedFiles(
  local: LocalPackage,
  mismatch: Mismatch,
  options: CallOptions,
): Promise<void> {
  if (local.holding !== "reference") return;
  const findings = await verifyReference(local, options, mismatch);
  const paths = findings.flatMap((finding) => (finding.path === undefined ? [] : [finding.path]));
  if (paths.length === 0) return;
  throw fail(
    "SOURCE_CHANGED",
    paths.length === 1
      ? `${paths[0]} is not what was sealed. It was not stored.`
      : `${paths.length} files are not what was sealed, ${paths[0]} the first. They were not stored.`,
    "Bring the files back as they were and push again, or seal the evidence anew.",
    { subject: paths[0] ?? "", details: { paths, findings } },
  );
}

function recordStored(
  core: Core,
  local: LocalPackage,
  vault: string,
  { method, alreadyStored: already, stored }: PushedPackage,
): void {
  const { packageId, engagement } = local.seal;
  const place = { packageId, vault, packageDigest: local.packageDigest };
  core.ledger
    .transaction(() => {
      // What this device read since says more than a record of its storing.
      if (!already || rememberedArchive(core.ledger, place) === null) {
        const { size, version, versionId, actor: by, time } = stored;
        rememberArchive(core.ledger, place, {
          ...{ size, version, how: "stored", by, time },
          ...(versionId === undefined ? {} : { versionId }),
        });
      }
      const { changes } = core.ledger
        .prepare(
          "INSERT INTO stored_packages (package_id, vault, package_digest, time, method) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .run(packageId, vault, local.packageDigest, rfc3339FromMs(core.clock.now()), method);
      if (changes === 0) return;
      appendEvent(core.ledger, {
        time: rfc3339FromMs(core.clock.now()),
        type: "package-stored",
        packageId,
        engagement,
        details: { packageDigest: local.packageDigest, vault, method, already },
      });
    })
    .immediate();
  clearGone(core.catalog, packageId);
}
