import type { Engagement, ParsedRequest } from "../../src-contract/vault-api.ts";
import type { Core } from "../core.ts";
import { fail } from "../failing.ts";
import { rfc3339FromMs } from "../package/times.ts";
import { vaultByName } from "../vault/vault-registry.ts";

interface Row {
  readonly id: string;
  readonly name: string;
  readonly client: string | null;
  readonly vault: string | null;
  readonly created: string;
}

/** Throws ENGAGEMENT_EXISTS, or VAULT_NOT_FOUND for a vault that was not added before. */
export function createEngagement(core: Core, request: ParsedRequest<"engagementCreate">): Engagement {
  if (request.vault !== undefined) vaultByName(core, request.vault);
  const { changes } = core.ledger
    .prepare(
      "INSERT INTO engagements (id, name, client, vault, created) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .run(
      request.id,
      request.name ?? request.id,
      request.client ?? null,
      request.vault ?? null,
      rfc3339FromMs(core.clock.now()),
    );
  if (changes === 0) {
    throw fail(
      "ENGAGEMENT_EXISTS",
      `An engagement ${request.id} is already there.`,
      `Use it, or choose another id. Show it with: strongroom engagement show ${request.id}`,
      { subject: request.id },
    );
  }
  return engagementById(core, request.id);
}

/** An engagement that a package came from: made under its id if this device does not know it yet. Answers whether it was made. */
export function joinEngagement(core: Core, id: string): boolean {
  const { changes } = core.ledger
    .prepare(
      "INSERT INTO engagements (id, name, client, vault, created) VALUES (?, ?, NULL, NULL, ?) ON CONFLICT DO NOTHING",
    )
    .run(id, id, rfc3339FromMs(core.clock.now()));
  return changes > 0;
}

/** Undoes `joinEngagement` after the package was refused, unless others have come to use the engagement. */
export function leaveEngagement(core: Core, id: string): void {
  if (engagementById(core, id).packages > 0) return;
  core.ledger
    .prepare(
      "DELETE FROM engagements WHERE id = ? AND vault IS NULL AND NOT EXISTS (SELECT 1 FROM builds WHERE engagement = engagements.id)",
    )
    .run(id);
}

/** Gives an engagement its vault. One that has packages in another vault keeps it. */
export function setEngagementVault(core: Core, request: ParsedRequest<"engagementSetVault">): Engagement {
  const engagement = engagementById(core, request.id);
  vaultByName(core, request.vault);
  const elsewhere = core.ledger
    .prepare<[string, string], { n: number }>(
      "SELECT count(*) AS n FROM stored_packages WHERE vault <> ? AND package_id IN (SELECT package_id FROM custody_events WHERE engagement = ?)",
    )
    .get(request.vault, engagement.id);
  if ((elsewhere?.n ?? 0) > 0) {
    throw fail(
      "VAULT_EXISTS",
      `Engagement ${engagement.id} has packages in its vault ${engagement.vault}; an engagement has one vault.`,
      "Keep the vault, or begin a new engagement.",
      { subject: engagement.id },
    );
  }
  core.ledger.prepare("UPDATE engagements SET vault = ? WHERE id = ?").run(request.vault, engagement.id);
  return engagementById(core, engagement.id);
}

export function listEngagements(core: Core): readonly Engagement[] {
  const rows = core.ledger.prepare<[], Row>("SELECT * FROM engagements ORDER BY id").all();
  return rows.map((row) => withCounts(core, row));
}

/** Throws ENGAGEMENT_NOT_FOUND. */
export function engagementById(core: Core, id: string): Engagement {
  const row = core.ledger.prepare<[string], Row>("SELECT * FROM engagements WHERE id = ?").get(id);
  if (row === undefined) {
    throw fail(
      "ENGAGEMENT_NOT_FOUND",
      `There is no engagement ${id} on this device.`,
      `Create it with: strongroom engagement create ${id}`,
      { subject: id },
    );
  }
  return withCounts(core, row);
}

function withCounts(core: Core, row: Row): Engagement {
  const counts = core.catalog
    .prepare<[string], { packages: number; bytes: number | null }>(
      "SELECT count(*) AS packages, sum(archive_size) AS bytes FROM packages WHERE engagement = ?",
    )
    .get(row.id);
  return { ...row, packages: counts?.packages ?? 0, bytes: counts?.bytes ?? 0 };
}
