import { mkdtemp } from "node:fs/promises";
import { join, resolve } from "node:path";
import type {
  Finding,
  SignatureCheck,
  VerificationMethod,
  VerificationReport,
} from "../../src-contract/findings.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { ParsedRequest } from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import { appendEvent } from "../custody/custody-log.ts";
import { exists } from "../durable-files.ts";
import { asFailure, fail } from "../failing.ts";
import { sealedHere } from "../package/build-journal.ts";
import {
  type LocalPackage,
  loadPackage,
  removeFolder,
  requireSealedManifest,
  resolvePackage,
} from "../package/package-store.ts";
import { rfc3339FromMs } from "../package/times.ts";
import type { Vault } from "../ports.ts";
import { checkSignatures } from "./check-signatures.ts";
import { type FoundSeal, findTarget } from "./find-target.ts";
import { sealFinding } from "./seal-rules.ts";
import { verifyArchive } from "./verify-archive.ts";

const PACKAGE_REF = /^[0-9a-f][0-9a-f-]{3,35}$/i;

interface Verified {
  readonly method: VerificationMethod;
  readonly findings: readonly Finding[];
  readonly files: number;
  readonly bytes: number;
  readonly parts?: number;
  readonly bagitVersion?: string;
  readonly attested?: boolean;
}

/**
 * Verifies a bag, an archive or a package and answers with all that was found. A path that exists wins over a package id.
 * A package is held against the seal that this device or the vault holds; asking for another one is INVALID_INPUT.
 * The result of a package with a seal is kept, with its time, in the ledger and the custody log.
 */
export async function verifyTarget(
  core: Core,
  request: ParsedRequest<"verify">,
  options: CallOptions,
): Promise<VerificationReport> {
  const started = rfc3339FromMs(core.clock.now());
  const path = resolve(request.target);
  if (!request.remote && ((await exists(path)) || !PACKAGE_REF.test(request.target))) {
    const target = await findTarget(path, request.seal);
    const verified = await verifyPath(core, target, request.full, options);
    return finish(core, request, {
      started,
      verified,
      seal: target.seal,
      signatures: target.seal?.signatures ?? null,
    });
  }
  if (request.seal !== undefined) {
    throw fail(
      "INVALID_INPUT",
      `A package is held against the seal that this device or the vault holds, not against ${request.seal}.`,
      "Name the archive or the bag instead of the package's id, or leave --seal out.",
      { subject: request.seal },
    );
  }
  if (request.remote) return verifyInVault(core, request, started, options);
  const summary = resolvePackage(core, request.target);
  const local = await loadPackage(core, summary.id);
  const seal: FoundSeal = {
    seal: local.seal,
    bytes: local.sealBytes,
    digest: local.packageDigest,
    file: `${local.folder}/seal.json`,
    signatures: `${local.folder}/signatures`,
  };
  const counts = { files: summary.files, bytes: summary.payloadSize, parts: local.seal.parts.length };
  if (local.holding === "reference") {
    const { verifyReference } = await import("./verify-reference.ts");
    const findings = await verifyReference(local, options);
    const verified: Verified = { method: "reference sources", findings, ...counts };
    return finish(core, request, { started, verified, seal, signatures: seal.signatures });
  }
  const verified = await verifyPath(
    core,
    { path: local.archiveFile, folder: false, seal },
    request.full,
    options,
  );
  const findings = [...verified.findings, ...(await checkManifestBeside(local))];
  return finish(core, request, {
    started,
    verified: { ...verified, findings },
    seal,
    signatures: seal.signatures,
  });
}

/** The state folder keeps manifest.json beside the archive too; what is listed and exported is read from there. */
async function checkManifestBeside(local: LocalPackage): Promise<readonly Finding[]> {
  try {
    await requireSealedManifest(local);
    return [];
  } catch (error) {
    const { message } = asFailure(error).failure;
    return [
      sealFinding("MANIFEST_JSON_DIGEST", { path: "manifest.json", what: `beside the archive: ${message}` }),
    ];
  }
}

/**
 * The seal of this device is trusted over the vault's; a package that is only in the vault is held against the seal there.
 * Signatures are those in the vault, whatever this device holds.
 */
async function verifyInVault(
  core: Core,
  request: ParsedRequest<"verify">,
  started: string,
  options: CallOptions,
): Promise<VerificationReport> {
  const [{ locatePackage }, { vaultOfPackage }, { pullSignatures }, { keysOfSeal }] = await Promise.all([
    import("../transfer/package-source.ts"),
    import("../transfer/transport.ts"),
    import("../transfer/pull-package.ts"),
    import("../vault/vault-keys.ts"),
  ]);
  const { seal, sealBytes, packageDigest } = await locatePackage(core, request.target);
  const found: FoundSeal = {
    seal,
    bytes: Buffer.from(sealBytes),
    digest: packageDigest,
    file: "seal.json",
    signatures: "",
  };
  const { vault } = await vaultOfPackage(core, seal);
  const verified = await verifyRemote(core, vault, found, request.full, options);
  const scratch = await mkdtemp(join(core.home.folder, ".signatures-"));
  try {
    const keys = keysOfSeal(seal);
    await pullSignatures(vault, keys, scratch, options.signal);
    return await finish(core, request, { started, verified, seal: found, signatures: scratch });
  } finally {
    await removeFolder(scratch);
  }
}

async function verifyPath(
  core: Core,
  target: { readonly path: string; readonly folder: boolean; readonly seal: FoundSeal | null },
  askedFull: boolean,
  options: CallOptions,
): Promise<Verified> {
  const { path, seal } = target;
  if (seal === null || target.folder) {
    const bag = await verifyBag(path, seal, options);
    return {
      method: seal === null ? "bag" : "sealed bag",
      findings: bag.findings,
      ...bag.counts,
      ...(bag.bagitVersion === null ? {} : { bagitVersion: bag.bagitVersion }),
    };
  }
  const known = isKnown(core, seal);
  const full = askedFull || !known;
  const archive = { archivePath: path, seal: seal.seal, full, known };
  const { findings, manifest } = await verifyArchive(archive, options);
  return {
    method: full ? "sealed archive, full" : "sealed archive",
    findings,
    files: manifest?.fileCount ?? 0,
    bytes: manifest?.payloadSize ?? 0,
    parts: seal.seal.parts.length,
    bagitVersion: "1.0",
  };
}

/** What each kind of target needs is loaded with it: an archive is verified faster than the code of all kinds is loaded. */
async function verifyBag(path: string, seal: FoundSeal | null, options: CallOptions) {
  if (seal === null) {
    const { validateBag } = await import("../bag/validate-bag.ts");
    return validateBag(path, options);
  }
  const { verifySealedBag } = await import("./verify-bag.ts");
  return verifySealedBag(path, seal, options);
}

/** A package sealed elsewhere is verified in full once: only then has this device seen that its seal does not lie about its files. */
function isKnown(core: Core, { seal, digest }: FoundSeal): boolean {
  if (sealedHere(core, seal.packageId, digest)) return true;
  const row = core.ledger
    .prepare<[string], { n: number }>(
      "SELECT count(*) AS n FROM fixity_checks WHERE package_digest = ? AND verdict = 'valid' AND method = 'sealed archive, full'",
    )
    .get(digest);
  return (row?.n ?? 0) > 0;
}

async function verifyRemote(
  core: Core,
  vault: Vault,
  seal: FoundSeal,
  full: boolean,
  options: CallOptions,
): Promise<Verified> {
  const { verifyStored } = await import("../transfer/verify-stored.ts");
  const stored = await verifyStored({
    vault,
    seal: seal.seal,
    sealBytes: seal.bytes,
    mode: full ? "full" : "attested",
    clock: core.clock,
    signal: options.signal,
    onProgress: options.onProgress,
  });
  return {
    method: full ? "stored archive" : "attested by the store",
    findings: stored.findings,
    files: 0,
    bytes: stored.bytes,
    parts: stored.parts,
    attested: stored.verdict === "attested",
  };
}

async function finish(
  core: Core,
  request: ParsedRequest<"verify">,
  done: {
    readonly started: string;
    readonly verified: Verified;
    readonly seal: FoundSeal | null;
    readonly signatures: string | null;
  },
): Promise<VerificationReport> {
  const { verified, seal } = done;
  const signed: { signatures: readonly SignatureCheck[]; findings: readonly Finding[] } =
    seal === null || done.signatures === null
      ? { signatures: [], findings: [] }
      : await checkSignatures(done.signatures, seal.digest);
  const findings = [...verified.findings, ...signed.findings];
  const errors = findings.filter((finding) => finding.severity === "error");
  const report: VerificationReport = {
    target: request.target,
    verdict: verdictOf(errors, verified.attested === true),
    method: verified.method,
    ...(seal === null ? {} : { packageId: seal.seal.packageId, packageDigest: seal.digest }),
    sealed: seal !== null,
    ...(verified.bagitVersion === undefined ? {} : { bagitVersion: verified.bagitVersion }),
    counts: {
      files: verified.files,
      bytes: verified.bytes,
      ...(verified.parts === undefined ? {} : { parts: verified.parts }),
      errors: errors.length,
      warnings: findings.length - errors.length,
    },
    findings,
    signatures: signed.signatures,
    started: done.started,
    finished: rfc3339FromMs(core.clock.now()),
  };
  if (seal !== null) keepResult(core, report, seal);
  return report;
}

/** What was not read speaks neither for a package nor against it. */
function verdictOf(errors: readonly Finding[], attested: boolean): VerificationReport["verdict"] {
  if (errors.length === 0) return attested ? "attested" : "valid";
  return errors.every(({ code }) => code === "FILE_UNREADABLE") ? "not verified" : "not valid";
}

function keepResult(core: Core, report: VerificationReport, { seal, digest }: FoundSeal): void {
  core.ledger
    .transaction(() => {
      core.ledger
        .prepare(
          "INSERT INTO fixity_checks (package_id, package_digest, time, verdict, method, target, errors) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .run(
          seal.packageId,
          digest,
          report.finished,
          report.verdict,
          report.method,
          report.target,
          report.counts.errors,
        );
      appendEvent(core.ledger, {
        time: report.finished,
        type: "fixity-checked",
        packageId: seal.packageId,
        engagement: seal.engagement,
        details: {
          packageDigest: digest,
          verdict: report.verdict,
          method: report.method,
          errors: report.counts.errors,
        },
      });
    })
    .immediate();
}
