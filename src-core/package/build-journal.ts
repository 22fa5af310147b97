import { rename } from "node:fs/promises";
import type { Core } from "../core.ts";
import { appendEvent, type CustodyEventType } from "../custody/custody-log.ts";
import { exists, syncFolder } from "../durable-files.ts";
import { FailureError, fail } from "../failing.ts";
import { BEAT_MS, isAlive, leaseHolderSchema, thisProcess } from "../transfer/lease-holder.ts";
import {
  catalogPackage,
  describePackage,
  draftFolder,
  loadPackage,
  packageFolder,
  removeFolder,
} from "./package-store.ts";
import { packageDigest, parseSeal } from "./seal-file.ts";
import { rfc3339FromMs } from "./times.ts";

/** Journal states of a package in the making, in order; the table is in 0010-foundation.ts. */
export type BuildState = "preparing" | "walking" | "hashing" | "finishing" | "signing" | "publishing";

export interface BuildJournal {
  enter(state: BuildState): void;
  close(): void;
}

/** A beat that is missed does no harm; the next one comes soon. */
function beat(core: Core, packageId: string): void {
  try {
    core.ledger.prepare("UPDATE builds SET beat = ? WHERE package_id = ?").run(core.clock.now(), packageId);
  } catch {
    return;
  }
}

/** Writes down that a draft is being made, before anything of it is on disk. `origin` becomes the custody event of the package. */
export function openBuildJournal(
  core: Core,
  build: {
    readonly packageId: string;
    readonly engagement: string;
    readonly origin: "package-sealed" | "package-imported";
  },
): BuildJournal {
  const { packageId, engagement, origin } = build;
  const now = core.clock.now();
  const { changes } = core.ledger
    .prepare(
      "INSERT INTO builds (package_id, engagement, origin, state, holder, started, beat) VALUES (?, ?, ?, 'preparing', ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .run(packageId, engagement, origin, JSON.stringify(thisProcess()), now, now);
  if (changes === 0) {
    throw fail(
      "BUSY",
      `Package ${packageId} is being taken in by another process.`,
      "Wait for it to end, then look with: strongroom package list",
      { subject: packageId },
    );
  }
  const heart = setInterval(() => beat(core, packageId), BEAT_MS);
  heart.unref();
  let current: BuildState = "preparing";
  return {
    enter(state) {
      if (state === current) return;
      current = state;
      core.ledger.prepare("UPDATE builds SET state = ? WHERE package_id = ?").run(state, packageId);
    },
    close() {
      clearInterval(heart);
      core.ledger.prepare("DELETE FROM builds WHERE package_id = ?").run(packageId);
    },
  };
}

/** Gives a finished draft its place among the packages, durably, and records it. Kept by `settleAbandonedBuilds` if cut short. */
export async function publishDraft(
  core: Core,
  draft: { readonly packageId: string; readonly sealBytes: Buffer; readonly origin: CustodyEventType },
): Promise<void> {
  const { packageId, sealBytes, origin } = draft;
  const folder = packageFolder(core, packageId);
  await syncFolder(draftFolder(core, packageId));
  await rename(draftFolder(core, packageId), folder);
  await syncFolder(core.home.packages);
  await catalogPackage(core, await describePackage(folder, sealBytes));
  recordOrigin(core, packageId, origin, sealBytes);
}

function recordOrigin(core: Core, packageId: string, origin: CustodyEventType, sealBytes: Buffer): void {
  const digest = packageDigest(sealBytes);
  // In one transaction: several processes may settle the same build.
  core.ledger
    .transaction(() => {
      if (hasEvent(core, packageId, origin, digest)) return;
      appendEvent(core.ledger, {
        time: rfc3339FromMs(core.clock.now()),
        type: origin,
        packageId,
        engagement: parseSeal(sealBytes).engagement,
        details: { packageDigest: digest, device: core.device, program: core.program },
      });
    })
    .immediate();
}

function hasEvent(core: Core, packageId: string, type: CustodyEventType, digest: string): boolean {
  const row = core.ledger
    .prepare<[string, string, string], { n: number }>(
      "SELECT count(*) AS n FROM custody_events WHERE package_id = ? AND type = ? AND json_extract(details, '$.packageDigest') = ?",
    )
    .get(packageId, type, digest);
  return (row?.n ?? 0) > 0;
}

/** Whether this device made exactly this seal, by its own custody log. */
export function sealedHere(core: Core, packageId: string, digest: string): boolean {
  return hasEvent(core, packageId, "package-sealed", digest);
}

interface BuildRow {
  readonly package_id: string;
  readonly origin: CustodyEventType;
  readonly holder: string;
  readonly beat: number;
}

/**
 * Settles builds whose process is gone: one that was published is kept and recorded, the draft of any other is removed.
 * Only drafts named in the journal are touched. One whose folder was damaged since stays in the journal, until it is whole again:
 * it is told of by package-faults.ts and must not keep its owner from everything else.
 */
export async function settleAbandonedBuilds(core: Core): Promise<void> {
  const rows = core.ledger.prepare<[], BuildRow>("SELECT package_id, origin, holder, beat FROM builds").all();
  const me = thisProcess();
  for (const row of rows) {
    const holder = leaseHolderSchema.parse(JSON.parse(row.holder));
    if (isAlive(holder, me, core.clock.now() - row.beat)) continue;
    if (await exists(packageFolder(core, row.package_id))) {
      if (!(await recordPublished(core, row))) continue;
    } else {
      await removeFolder(draftFolder(core, row.package_id));
    }
    core.ledger.prepare("DELETE FROM builds WHERE package_id = ?").run(row.package_id);
  }
}

async function recordPublished(core: Core, row: BuildRow): Promise<boolean> {
  try {
    const { sealBytes } = await loadPackage(core, row.package_id);
    recordOrigin(core, row.package_id, row.origin, sealBytes);
    return true;
  } catch (error) {
    if (error instanceof FailureError) return false;
    throw error;
  }
}
