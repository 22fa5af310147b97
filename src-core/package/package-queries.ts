import { join } from "node:path";
import type { FileRecord } from "../../src-contract/manifest.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { FixityRecord, PackageDetail, ParsedRequest } from "../../src-contract/vault-api.ts";
import { indexFiles, isIndexed, pageOfFiles } from "../catalog/file-rows.ts";
import type { Core } from "../core.ts";
import { checkSignatures } from "../verify/check-signatures.ts";
import { readManifest } from "./manifest-reader.ts";
import { loadPackage, requireManifest, requireSealedManifest, resolvePackage } from "./package-store.ts";

/** All that this device knows of a package. */
export async function showPackage(core: Core, request: ParsedRequest<"packageShow">): Promise<PackageDetail> {
  const summary = resolvePackage(core, request.package);
  const local = await loadPackage(core, summary.id);
  await requireManifest(local);
  const { header } = await readManifest(local.manifestFile);
  const { signatures } = await checkSignatures(join(local.folder, "signatures"), local.packageDigest);
  const fixity = core.ledger
    .prepare<[string], FixityRecord>(
      "SELECT time, verdict, method, target, errors FROM fixity_checks WHERE package_id = ? ORDER BY id DESC LIMIT 100",
    )
    .all(summary.id);
  return { ...summary, manifest: header, seal: local.seal, signatures, fixity, folder: local.folder };
}

/** One page of a package's files. The first call for a package reads its manifest into the catalog. */
export async function filesOfPackage(
  core: Core,
  request: ParsedRequest<"packageFiles">,
  options: CallOptions,
): Promise<{ readonly total: number; readonly files: readonly FileRecord[] }> {
  const { id, files } = resolvePackage(core, request.package);
  const local = await loadPackage(core, id);
  if (!isIndexed(core.catalog, id)) await requireSealedManifest(local);
  await indexFiles(core.catalog, id, local.manifestFile, (done) => {
    options.onProgress?.({ phase: "index", done, total: files, unit: "files" });
  });
  return pageOfFiles(core.catalog, id, request);
}
