import { mkdir, readdir, rename } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { HandoverResult, ParsedRequest } from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import { appendEvent, eventsOf } from "../custody/custody-log.ts";
import { inDraftFolder } from "../draft-folder.ts";
import { createFileDurably, makeFolders, syncFolder } from "../durable-files.ts";
import { throwIfCancelled, writeFailure } from "../failing.ts";
import { refuseInsideHome } from "../home.ts";
import { canonicalJson } from "../package/canonical-json.ts";
import { readManifest } from "../package/manifest-reader.ts";
import { besidePackage, packageName } from "../package/package-name.ts";
import { signatureFiles } from "../package/package-store.ts";
import { rfc3339FromMs } from "../package/times.ts";
import { fetchArchive } from "../transfer/fetch-archive.ts";
import { locatePackage, manifestOf } from "../transfer/package-source.ts";
import { refuseTaken } from "../transfer/place-pulled.ts";
import { requireSoundArchive } from "../transfer/sound-archive.ts";
import { howToVerify } from "./handover.ts";

/**
 * Makes a folder `<name>-handover` that somebody without Strongroom can verify: archive, seal, signatures, this device's custody
 * events of the package, and plain instructions. The archive is verified before the folder gets its name; nothing is overwritten.
 */
export async function handOver(
  core: Core,
  request: ParsedRequest<"packageHandover">,
  options: CallOptions,
): Promise<HandoverResult> {
  const place = await locatePackage(core, request.package);
  const name = packageName(place.seal);
  const to = resolve(request.to);
  const folder = join(to, `${name}-handover`);
  await refuseTaken([folder]);
  await refuseInsideHome(core.home, to);
  try {
    await makeFolders(to);
    return await inDraftFolder(to, "handover", async (scratch) => {
      // Not the draft's folder itself, which nobody but its owner may enter: this one is for others.
      const draft = join(scratch, "handover");
      await mkdir(draft);
      const fetched = await fetchArchive(core, place, draft, { ...options, files: true });
      const { seal, packageDigest } = place;
      if (!fetched.sound)
        await requireSoundArchive(core, { ...fetched, seal, packageDigest, partsVerified: true }, options);
      appendEvent(core.ledger, {
        time: rfc3339FromMs(core.clock.now()),
        type: "handed-over",
        packageId: place.packageId,
        engagement: place.engagement,
        details: { packageDigest, device: core.device },
      });
      const events = eventsOf(core.ledger, place.packageId);
      await createFileDurably(
        join(draft, `${name}.custody.jsonl`),
        events.map((event) => `${canonicalJson(event)}\n`).join(""),
      );
      const { header } = await readManifest(await manifestOf(place, scratch, options));
      const signatures = await signatureFiles(besidePackage(seal, draft).signatures);
      await createFileDurably(
        join(draft, "HOW-TO-VERIFY.txt"),
        howToVerify({
          seal,
          packageDigest,
          manifest: header,
          signatureFiles: signatures.map((file) => file.name),
        }),
      );
      throwIfCancelled(options.signal);
      await rename(draft, folder);
      await syncFolder(to);
      return { package: place.packageId, folder, files: (await readdir(folder)).sort() };
    });
  } catch (error) {
    throw writeFailure(error, folder);
  }
}
