import { resolve } from "node:path";
import type { Finding, VerificationReport } from "../../src-contract/findings.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { ParsedRequest } from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import { exists } from "../durable-files.ts";
import { asFailure, fail } from "../failing.ts";
import {
  type LocalPackage,
  loadPackage,
  requireSealedManifest,
  resolvePackage,
} from "../package/package-store.ts";
import { rfc3339FromMs } from "../package/times.ts";
import { checkSignatures } from "./check-signatures.ts";
import { type FoundSeal, findTarget } from "./find-target.ts";
import { sealFinding } from "./seal-rules.ts";
import { isKnown, reportOf, type Verified } from "./verification-report.ts";
import { verifyArchive } from "./verify-archive.ts";

const PACKAGE_REF = /^[0-9a-f][0-9a-f-]{3,35}$/i;

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
    return await checkedReport(core, request.target, { started, verified, seal: target.seal });
  }
  if (request.seal !== undefined) {
    throw fail(
      "INVALID_INPUT",
      `A package is held against the seal that this device or the vault holds, not against ${request.seal}.`,
      "Name the archive or the bag instead of the package's id, or leave --seal out.",
      { subject: request.seal },
    );
  }
  if (request.remote) {
    if (!PACKAGE_REF.test(request.target)) {
      throw fail(
        "INVALID_INPUT",
        `${request.target} is not a package id; what is in a vault is named by its id.`,
        "List packages with: strongroom package list",
        { subject: request.target },
      );
    }
    const { verifyRemote } = await import("./verify-remote.ts");
    return verifyRemote(core, request, started, options);
  }
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
    return await checkedReport(core, request.target, { started, verified, seal });
  }
  const verified = await verifyPath(
    core,
    { path: local.archiveFile, folder: false, seal },
    request.full,
    options,
  );
  const findings = [...verified.findings, ...(await checkManifestBeside(local))];
  return await checkedReport(core, request.target, {
    started,
    verified: { ...verified, findings },
    seal,
  });
}

/** The report with the signatures that lie beside the seal. */
async function checkedReport(
  core: Core,
  target: string,
  done: { readonly started: string; readonly verified: Verified; readonly seal: FoundSeal | null },
): Promise<VerificationReport> {
  const { verified, seal } = done;
  if (seal === null) return reportOf(core, target, { ...done, signatures: [] });
  const { signatures, findings } = await checkSignatures(seal.signatures, seal.digest);
  const all = { ...verified, findings: [...verified.findings, ...findings] };
  return reportOf(core, target, { ...done, verified: all, signatures });
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
