import type { ObjectInfo } from "../ports.ts";
import type { Db } from "./database.ts";

/** Which object held the sealed bytes, and who knew it how and when. */
export interface SeenArchive extends Pick<ObjectInfo, "size" | "version" | "versionId"> {
  /** `stored`: by the check when it was stored. `read`: this device read every byte of it since. */
  readonly how: "stored" | "read";
  /** The device, as `stored/...json` names it. */
  readonly by: string;
  /** RFC 3339, UTC. */
  readonly time: string;
}

/** One package in one vault, as the ledger names both. */
export interface SeenPlace {
  readonly packageId: string;
  readonly vault: string;
  readonly packageDigest: string;
}

/** Keeps what was seen in place of what was seen before. */
export function rememberArchive(ledger: Db, place: SeenPlace, seen: SeenArchive): void {
  ledger
    .prepare(
      `INSERT OR REPLACE INTO seen_archives (package_id, vault, package_digest, size, version, version_id, how, seen_by, time)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    )
    .run(
      ...[place.packageId, place.vault, place.packageDigest],
      ...[seen.size, seen.version, seen.versionId ?? null, seen.how, seen.by, seen.time],
    );
}

/** Null when this device remembers nothing of this seal's archive there. */
export function rememberedArchive(ledger: Db, place: SeenPlace): SeenArchive | null {
  const row = ledger
    .prepare<[string, string, string], Omit<SeenArchive, "versionId"> & { versionId: string | null }>(
      `SELECT size, version, version_id AS versionId, how, seen_by AS by, time FROM seen_archives
       WHERE package_id = ? AND vault = ? AND package_digest = ?`,
    )
    .get(place.packageId, place.vault, place.packageDigest);
  if (row === undefined) return null;
  const { versionId, ...seen } = row;
  return versionId === null ? seen : { ...seen, versionId };
}
