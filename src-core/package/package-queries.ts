import { join } from "node:path";
import type { FileRecord } from "../../src-contract/manifest.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import type {
  FixityRecord,
  PackageDetail,
  PackageSummary,
  ParsedRequest,
} from "../../src-contract/vault-api.ts";
import { indexFiles, isIndexed, pageOfFiles } from "../catalog/file-rows.ts";
import { keptSignatures, requireKept } from "../catalog/kept-packages.ts";
import type { Core } from "../core.ts";
import type { RangeSource } from "../ports.ts";
import { checkEnvelopes, checkSignatures } from "../verify/check-signatures.ts";
import { readManifest } from "./manifest-reader.ts";
import { loadPackage, requireManifest, requireSealedManifest, resolvePackage } from "./package-store.ts";
import { parseSeal } from "./seal-file.ts";

/** All that this device knows of a package, held here or not; no vault is asked. */
export async function showPackage(core: Core, request: ParsedRequest<"packageShow">): Promise<PackageDetail> {
  const summary = resolvePackage(core, request.package);
  const fixity = core.ledger
    .prepare<[string], FixityRecord>(
      "SELECT time, verdict, method, target, errors FROM fixity_checks WHERE package_id = ? ORDER BY id DESC LIMIT 100",
    )
    .all(summary.id);
  return { ...summary, ...(await contentOf(core, summary)), fixity };
}

type Content = Pick<PackageDetail, "manifest" | "seal" | "signatures" | "folder">;

async function contentOf(core: Core, { id, packageDigest, holding }: PackageSummary): Promise<Content> {
  if (holding === "remote") {
    const kept = requireKept(core.catalog, id, packageDigest);
    const { header: manifest } = await readManifest(kept.manifest);
    const { signatures } = checkEnvelopes(keptSignatures(core.catalog, id), packageDigest);
    return { manifest, seal: parseSeal(kept.sealBytes), signatures, folder: null };
  }
  const local = await loadPackage(core, id);
  await requireManifest(local);
  const { header: manifest } = await readManifest(local.manifestFile);
  const { signatures } = await checkSignatures(join(local.folder, "signatures"), local.packageDigest);
  return { manifest, seal: local.seal, signatures, folder: local.folder };
}

/** One page of a package's files. The first call for a package reads its manifest into the catalog. */
export async function filesOfPackage(
  core: Core,
  request: ParsedRequest<"packageFiles">,
  options: CallOptions,
): Promise<{ readonly total: number; readonly files: readonly FileRecord[] }> {
  const summary = resolvePackage(core, request.package);
  const { id, files } = summary;
  const manifest = await manifestToIndex(core, summary);
  const onFiles = (done: number) =>
    options.onProgress?.({ phase: "index", done, total: files, unit: "files" });
  await indexFiles(core.catalog, id, manifest, onFiles, options.signal);
  return pageOfFiles(core.catalog, id, request, options.signal);
}

async function manifestToIndex(
  core: Core,
  { id, packageDigest, holding }: PackageSummary,
): Promise<string | RangeSource> {
  if (holding === "remote") {
    const { sealBytes, manifest } = requireKept(core.catalog, id, packageDigest);
    if (!isIndexed(core.catalog, id)) await manifest.requireSealed(parseSeal(sealBytes).manifestSha256);
    return manifest;
  }
  const local = await loadPackage(core, id);
  if (!isIndexed(core.catalog, id)) await requireSealedManifest(local);
  return local.manifestFile;
}
