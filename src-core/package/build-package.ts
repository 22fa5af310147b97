import type { KeyObject } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { CallOptions, Progress } from "../../src-contract/progress.ts";
import type { BuildResult, ParsedRequest } from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import { signPackage } from "../custody/signature.ts";
import { loadSigningKey } from "../custody/signing-key.ts";
import { createFileDurably, exists } from "../durable-files.ts";
import { engagementById } from "../engagement/engagements.ts";
import { asFailure, throwIfCancelled } from "../failing.ts";
import { type BuildState, openBuildJournal, publishDraft } from "./build-journal.ts";
import { draftFolder, packageFolder, removeFolder, resolvePackage } from "./package-store.ts";
import { runThread } from "./run-thread.ts";
import { packageDigest, parseSeal } from "./seal-file.ts";
import { SEAL_THREAD, type SealedDraft, type SealJob } from "./seal-job.ts";

const STATE_OF_PHASE: Readonly<Partial<Record<Progress["phase"], BuildState>>> = {
  walk: "walking",
  hash: "hashing",
  "write manifest": "finishing",
};

/**
 * Seals files and folders into a package. Either the package is there, whole and durable, when this returns, or nothing is.
 * A process killed on the way leaves a draft, which the next one removes, or a published package, which it lists.
 */
export async function buildPackage(
  core: Core,
  request: ParsedRequest<"packageBuild">,
  options: CallOptions,
): Promise<BuildResult> {
  const engagement = engagementById(core, request.engagement);
  const key =
    request.keyFile === undefined ? null : await loadSigningKey(request.keyFile, request.keyPassphrase);
  const packageId = core.newId();
  const folder = request.dryRun ? null : draftFolder(core, packageId);
  const job = sealJob(core, request, { packageId, folder, client: engagement.client });
  if (folder === null) {
    const { preflight } = await runSealThread(job, options, () => undefined);
    return { preflight, package: null, signed: false };
  }
  const journal = openBuildJournal(core, { packageId, engagement: engagement.id, origin: "package-sealed" });
  try {
    await mkdir(folder, { mode: 0o700 });
    const draft = await runSealThread(job, options, journal.enter);
    if (draft.sealBytes === null) throw new Error("sealed draft without a seal");
    const bytes = Buffer.from(draft.sealBytes);
    journal.enter("signing");
    if (key !== null) await sign(folder, bytes, key, draft.sealed);
    if (request.mode === "copy") await removePlan(folder);
    throwIfCancelled(options.signal);
    journal.enter("publishing");
    await publishDraft(core, { packageId, sealBytes: bytes, origin: "package-sealed" });
    journal.close();
    return { preflight: draft.preflight, package: resolvePackage(core, packageId), signed: key !== null };
  } catch (error) {
    await removeFolder(folder);
    if (!(await exists(packageFolder(core, packageId)))) journal.close();
    throw asFailure(error, folder);
  }
}

function sealJob(
  core: Core,
  request: ParsedRequest<"packageBuild">,
  draft: { readonly packageId: string; readonly folder: string | null; readonly client: string | null },
): SealJob {
  const { title, producer, subject, phase, retentionClass, metadata } = request;
  return {
    walk: {
      sources: request.sources,
      home: core.home.folder,
      includeLitter: request.includeLitter,
      storeNonUnicode: request.storeNonUnicode,
    },
    ...draft,
    engagement: request.engagement,
    name: request.name,
    mode: request.mode,
    sha512: request.digest === "sha512",
    described: {
      ...(title === undefined ? {} : { title }),
      ...(producer === undefined ? {} : { producer }),
      ...(subject === undefined ? {} : { subject }),
      ...(phase === undefined ? {} : { phase }),
      ...(retentionClass === undefined ? {} : { retentionClass }),
      metadata,
    },
    device: core.device,
    program: core.program,
    created: core.clock.now(),
    cancel: new SharedArrayBuffer(4),
  };
}

/** Runs the blocking work in its own thread; cancels it when the signal says so. */
function runSealThread(
  job: SealJob,
  options: CallOptions,
  enter: (state: BuildState) => void,
): Promise<SealedDraft> {
  const onProgress = (progress: Progress) => {
    const state = STATE_OF_PHASE[progress.phase];
    if (state !== undefined) enter(state);
    options.onProgress?.(progress);
  };
  const cancel = () => {
    Atomics.store(new Int32Array(job.cancel), 0, 1);
  };
  return runThread(SEAL_THREAD, job, { ...options, onProgress }, cancel);
}

async function sign(folder: string, bytes: Buffer, privateKey: KeyObject, time: string): Promise<void> {
  const signature = signPackage({
    packageDigest: packageDigest(bytes),
    seal: parseSeal(bytes),
    privateKey,
    time,
  });
  await mkdir(join(folder, "signatures"));
  await createFileDurably(join(folder, "signatures", signature.fileName), signature.bytes);
}

/** A copied package needs neither its plan nor the tag files beside its archive. */
async function removePlan(folder: string): Promise<void> {
  for (const name of [
    "plan.records",
    "plan.index",
    "bagit.txt",
    "bag-info.txt",
    "manifest-sha256.txt",
    "manifest-sha512.txt",
    "tagmanifest-sha256.txt",
    "tagmanifest-sha512.txt",
  ]) {
    await rm(join(folder, name), { force: true });
  }
}
