import { basename, resolve } from "node:path";
import { lookup } from "mime-types";
import { type ArtifactPutResult, artifactNameSchema, type PutOptions } from "../../src-contract/artifacts.ts";
import type { Failure } from "../../src-contract/failure.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { ParsedRequest } from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import { appendEvent } from "../custody/custody-log.ts";
import { asFailure, fail } from "../failing.ts";
import { rfc3339FromMs } from "../package/times.ts";
import type { StreamedObject } from "../ports.ts";
import { byteMeter } from "../transfer/progress-meter.ts";
import { retrying } from "../transfer/retry.ts";
import { type ArtifactPlace, artifactPlace, keptDigest } from "./artifact-place.ts";
import { sendFile } from "./send-file.ts";

const UNTYPED = "application/octet-stream";

/**
 * Stores one artifact with its SHA-256, from a file or from bytes that the caller hands over. What is under its key is never rewritten: the same
 * bytes again are a success, others OBJECT_CONFLICT.
 */
export async function putArtifact(
  core: Core,
  request: ParsedRequest<"artifactPut">,
  { content, ...options }: PutOptions,
  warn: (warning: Failure) => void,
): Promise<ArtifactPutResult> {
  const { audit, phase } = request;
  const { file, name } = sourceOf(request, content);
  const place = await artifactPlace(core, request, options);
  const key = `${place.prefix}${phase}/${name}`;
  const contentType = lookup(name) || UNTYPED;
  const stored =
    content === undefined
      ? { ...(await sendFile(core, place, key, { path: file, contentType }, options)), leftUndone: [] }
      : await sendStream(core, place, key, content, contentType, options);
  const { info, sha256, bytes: size, already: alreadyStored } = stored;
  for (const { message, nextStep, code } of stored.leftUndone) {
    warn({ code, message: `Stored, but not cleared up behind it: ${message}`, nextStep, subject: key });
  }
  const kept = info.metadata === undefined ? await place.vault.head(key) : info;
  if (kept !== null && keptDigest(kept) !== sha256) warn(withoutDigest(key, place));
  const { vaultName: vault, engagement } = place;
  appendEvent(core.ledger, {
    time: rfc3339FromMs(core.clock.now()),
    type: "artifact-stored",
    packageId: null,
    engagement,
    details: { audit, key, vault, sha256, size, device: core.device, already: alreadyStored },
  });
  return { audit, phase, name, key, vault, size, sha256, mediaType: contentType, alreadyStored };
}

/** The file's path, absolute, and the artifact's name. Throws INVALID_INPUT when there is not one source, or no name that can be stored. */
function sourceOf(
  { file, name }: ParsedRequest<"artifactPut">,
  content: PutOptions["content"],
): { readonly file: string; readonly name: string } {
  if ((file === undefined) === (content === undefined)) {
    throw fail("INVALID_INPUT", "An artifact is put from one file, or from one stream.", "Name one of them.");
  }
  if (name === undefined && file === undefined) {
    throw fail(
      "INVALID_INPUT",
      "What comes from standard input has no name.",
      "Give it one: --name FILE.json",
      { subject: "name" },
    );
  }
  const path = resolve(file ?? "");
  if (name !== undefined) return { file: path, name };
  const own = artifactNameSchema.safeParse(basename(path));
  if (own.success) return { file: path, name: own.data };
  throw fail(
    "INVALID_INPUT",
    `${JSON.stringify(basename(path))} cannot be an artifact's name: it ${own.error.issues[0]?.message}.`,
    "Give it another one: --name NAME",
    { subject: path },
  );
}

async function sendStream(
  core: Core,
  { vault, retry }: ArtifactPlace,
  key: string,
  content: AsyncIterable<Uint8Array>,
  contentType: string,
  { signal, onProgress }: CallOptions,
): Promise<StreamedObject> {
  const meter = byteMeter("send", undefined, key, core.clock, onProgress);
  async function* pieces(): AsyncGenerator<Uint8Array> {
    try {
      for await (const bytes of content) {
        meter.add(bytes.length);
        yield bytes;
      }
    } catch (error) {
      throw asFailure(error, "Standard input");
    }
  }
  const again = <T>(work: () => Promise<T>) => retrying(retry, signal, work);
  const stored = await vault.putStream(key, pieces(), { signal, contentType, again });
  meter.end();
  return stored;
}

/** It was there before, put by another program, or its store drops what is told of an object. */
function withoutDigest(key: string, { vaultName }: ArtifactPlace): Failure {
  return {
    code: "VAULT_UNFIT",
    message: `Vault ${vaultName} keeps no SHA-256 with ${key}: whoever fetches it can check nothing.`,
    nextStep: "Keep the SHA-256 that is shown here by another way.",
    subject: key,
  };
}
