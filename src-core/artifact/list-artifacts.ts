import type { ListedArtifact } from "../../src-contract/artifacts.ts";
import type { CallOptions } from "../../src-contract/progress.ts";
import type { ParsedRequest } from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import { rfc3339FromMs } from "../package/times.ts";
import type { ObjectInfo } from "../ports.ts";
import { type ArtifactPlace, artifactPlace, keptDigest } from "./artifact-place.ts";

/** So many artifacts are asked for their digest at once. */
const ASKED_AT_ONCE = 8;

/**
 * The artifacts of an audit, or of one phase of it, in order of key. Digests come from a folder without being asked for; a store answers them one
 * by one.
 */
export async function listArtifacts(
  core: Core,
  request: ParsedRequest<"artifactList">,
  options: CallOptions,
): Promise<readonly ListedArtifact[]> {
  const place = await artifactPlace(core, request, options);
  const { vault, prefix } = place;
  const withDigests = request.digests || vault.kind === "folder";
  const found: ListedArtifact[] = [];
  const waiting: Promise<ListedArtifact>[] = [];
  const below = request.phase === undefined ? prefix : `${prefix}${request.phase}/`;
  for await (const object of vault.list(below, options.signal)) {
    const named = nameOf(place, object);
    if (named === null) continue;
    const listed = listedAs(place, named, object);
    if (!withDigests) {
      found.push({ ...listed, sha256: null });
      continue;
    }
    const asked = digestOf(place, object, options).then((sha256) => ({ ...listed, sha256 }));
    // Awaited with the others; a failure must not be called unhandled until then.
    asked.catch(() => undefined);
    waiting.push(asked);
    if (waiting.length >= ASKED_AT_ONCE) found.push(...(await Promise.all(waiting.splice(0))));
  }
  found.push(...(await Promise.all(waiting)));
  return found;
}

/** Null for what is no artifact: a stream on its way (`.incoming-…`), and what lies in no phase. */
function nameOf({ prefix }: ArtifactPlace, { key }: ObjectInfo): { phase: string; name: string } | null {
  const [phase = "", ...rest] = key.slice(prefix.length).split("/");
  const last = rest.at(-1) ?? "";
  return phase === "" || last === "" || last.startsWith(".") ? null : { phase, name: rest.join("/") };
}

function listedAs(
  { audit, vaultName }: ArtifactPlace,
  { phase, name }: { readonly phase: string; readonly name: string },
  { key, size, modified }: ObjectInfo,
): Omit<ListedArtifact, "sha256"> {
  const stored = modified === undefined ? null : rfc3339FromMs(modified);
  return { audit, phase, name, key, vault: vaultName, size, stored };
}

/** Null also for one that was removed meanwhile. */
async function digestOf(
  { vault }: ArtifactPlace,
  { key }: ObjectInfo,
  { signal }: CallOptions,
): Promise<string | null> {
  const info = await vault.head(key, signal);
  return info === null ? null : keptDigest(info);
}
