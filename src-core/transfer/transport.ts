import type { CallOptions } from "../../src-contract/progress.ts";
import type { ParsedRequest, PushResult } from "../../src-contract/vault-api.ts";
import { rememberArchive, rememberedArchive } from "../catalog/seen-archives.ts";
import type { Core } from "../core.ts";
import { appendEvent } from "../custody/custody-log.ts";
import { engagementById } from "../engagement/engagements.ts";
import { asFailure, fail } from "../failing.ts";
import {
  type LocalPackage,
  loadPackage,
  openArchive,
  requireManifest,
  resolvePackage,
  signatureFiles,
} from "../package/package-store.ts";
import { rfc3339FromMs } from "../package/times.ts";
import type { Vault } from "../ports.ts";
import { openVaultByName } from "../vault/vault-registry.ts";
import { verifyReference } from "../verify/verify-reference.ts";
import { type PushedPackage, pushPackage } from "./push-package.ts";

/** The vault of an engagement's packages. Throws ENGAGEMENT_NOT_FOUND or VAULT_MISSING. */
export async function vaultOfPackage(
  core: Core,
  { engagement }: { readonly engagement: string },
): Promise<{ readonly name: string; readonly vault: Vault }> {
  const { vault } = engagementById(core, engagement);
  if (vault === null) {
    throw fail(
      "VAULT_MISSING",
      `Engagement ${engagement} has no vault.`,
      `Give it one: strongroom engagement set-vault ${engagement} NAME`,
      { subject: engagement },
    );
  }
  return { name: vault, vault: await openVaultByName(core, vault) };
}

/** Sends a package into its engagement's vault; see push-package.ts for what holds when it is interrupted. */
export async function pushToVault(
  core: Core,
  request: ParsedRequest<"packagePush">,
  options: CallOptions,
): Promise<PushResult> {
  const summary = resolvePackage(core, request.package);
  const local = await loadPackage(core, summary.id);
  const { name, vault } = await vaultOfPackage(core, summary);
  await requireManifest(local);
  const archive = await openArchive(local);
  try {
    const signatures = await signatureFiles(`${local.folder}/signatures`);
    const pushed = await pushPackage({
      vault,
      vaultName: name,
      db: core.ledger,
      engagement: summary.engagement,
      seal: local.seal,
      sealBytes: local.sealBytes,
      archive,
      manifestFile: local.manifestFile,
      signatureFiles: signatures.map(({ path }) => path),
      actor: actorName(core.device),
      clock: core.clock,
      signal: options.signal,
      onProgress: options.onProgress,
      onMismatch: async (_part, offset, size) => {
        if (local.holding === "held") throw damagedArchive(local);
        await nameChangedFiles(local, offset, size, options);
      },
    });
    recordStored(core, local, name, pushed);
    return {
      package: summary.id,
      vault: name,
      bytes: pushed.bytes,
      alreadyStored: pushed.alreadyStored,
      method: pushed.method,
    };
  } catch (error) {
    // A source that cannot be read as it was: others may have changed too, and all are named.
    if (asFailure(error).failure.code === "SOURCE_CHANGED") {
      await nameChangedFiles(local, 0, local.seal.archiveSize, options);
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

/** Archive bytes [offset, offset + size) of a reference package are not what was sealed: reads their files again and names all that changed. */
async function nameChangedFiles(
  local: LocalPackage,
  offset: number,
  size: number,
  options: CallOptions,
): Promise<void> {
  if (local.holding !== "reference") return;
  const findings = await verifyReference(local, options, { start: offset, end: offset + size });
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
      if (stored !== null && (!already || rememberedArchive(core.ledger, place) === null)) {
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
}
