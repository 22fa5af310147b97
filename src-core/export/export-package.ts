import { mkdtemp } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { ExportResult, ParsedRequest } from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import { removeFolder } from "../package/package-store.ts";
import { locatePackage, manifestOf } from "../transfer/package-source.ts";
import { exportManifest } from "./export-manifest.ts";

/** Exports the manifest of a package that this device knows or a vault holds. */
export async function exportPackageManifest(
  core: Core,
  request: ParsedRequest<"manifestExport">,
  options: CallOptions,
): Promise<ExportResult> {
  const { format } = request;
  const out = resolve(request.out);
  const place = await locatePackage(core, request.package, "manifest");
  const scratch = await mkdtemp(join(core.home.folder, ".export-"));
  try {
    const manifest = await manifestOf(place, scratch, options);
    const { seal, packageDigest } = place;
    const exported = await exportManifest({ manifest, seal, packageDigest, format, out }, options);
    return { package: place.packageId, format, out, ...exported };
  } finally {
    await removeFolder(scratch);
  }
}
