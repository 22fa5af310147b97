import { z } from "zod";
import type { FailureCode } from "../../src-contract/failure.ts";
import type { Seal } from "../../src-contract/seal.ts";
import { type Db, databaseFailure } from "../catalog/database.ts";
import { fail } from "../failing.ts";
import { packageName } from "../package/package-name.ts";
import { keysOfSeal } from "../vault/vault-keys.ts";
import { PULL_STATES, PUSH_STATES, type QueueEntry, type TransferPlan } from "./journal.ts";
import { leaseHolderSchema } from "./lease-holder.ts";

/** What the queue says of a seal's package. */
export function entryOf(seal: Seal): QueueEntry {
  return {
    engagement: seal.engagement,
    packageName: packageName(seal),
    bytes: seal.archiveSize,
    parts: seal.parts.length,
  };
}

/** The push of a sealed package into a vault. */
export function pushPlan(seal: Seal, packageDigest: string, vault: string): TransferPlan {
  return {
    direction: "push",
    vault,
    target: keysOfSeal(seal).archive,
    packageId: seal.packageId,
    packageDigest,
    entry: entryOf(seal),
  };
}

const causeSchema = z.object({
  code: z.string().transform((code) => code as FailureCode),
  message: z.string(),
  nextStep: z.string().default("Let it go on with: strongroom transfers resume ID"),
});

/** One row of the transfers table, as the queue sees it. */
const queueRowSchema = z.object({
  id: z.string(),
  direction: z.enum(["push", "pull"]),
  vault: z.string(),
  target: z.string(),
  package_id: z.string(),
  package_digest: z.string(),
  engagement: z.string(),
  package_name: z.string(),
  folder: z.string().nullable(),
  form: z.enum(["bag", "tar"]).nullable(),
  state: z.enum([...PUSH_STATES, ...PULL_STATES]),
  cause: z
    .string()
    .transform((json) => causeSchema.parse(JSON.parse(json)))
    .nullable(),
  priority: z.number(),
  paused: z.number().transform((flag) => flag === 1),
  wish: z.enum(["pause", "cancel"]).nullable(),
  bytes_done: z.number(),
  bytes_total: z.number().nullable(),
  parts_done: z.number(),
  parts_total: z.number().nullable(),
  retry_at: z.number().nullable(),
  created: z.number(),
  updated: z.number(),
  lease_holder: z
    .string()
    .transform((json) => leaseHolderSchema.parse(JSON.parse(json)))
    .nullable(),
  lease_beat: z.number().nullable(),
});
export type QueueRow = z.infer<typeof queueRowSchema>;

/** States in which nothing is left to do. */
const OVER = ["stored", "received", "cancelled"] as const;
const IS_OVER = `state IN (${OVER.map((state) => `'${state}'`).join(", ")})`;

/**
 * Parts of the archive itself. Those of a pull are in the journal of the fetching inside it, whose file lies in the pull's own folder.
 */
const COLUMNS = `t.*, (
    SELECT count(*) FROM transfers AS f JOIN transfer_parts AS p ON p.transfer = f.id
    WHERE f.package_id = t.package_id AND f.direction = t.direction
      AND iif(t.direction = 'push', f.id = t.id AND p.key = t.target, substr(p.key, 1, length(t.target)) = t.target)
  ) AS parts_done`;
const IN_QUEUE = "(direction = 'push' OR folder IS NOT NULL)";

/** Reads rows of the queue, `where` and `order` being SQL on the table `t`. */
export function selectQueue(db: Db, rest: string, ...parameters: readonly unknown[]): readonly QueueRow[] {
  try {
    const rows = db
      .prepare(`SELECT ${COLUMNS} FROM transfers AS t WHERE ${IN_QUEUE} AND ${rest}`)
      .all(...parameters);
    return z.array(queueRowSchema).parse(rows);
  } catch (error) {
    throw databaseFailure(error, db.name);
  }
}

const IN_ORDER = "ORDER BY priority DESC, created, rowid";

/** Unfinished ones in the order in which they are to be run. */
export function unfinishedRows(db: Db): readonly QueueRow[] {
  return selectQueue(db, `NOT ${IS_OVER} ${IN_ORDER}`);
}

/** The first of the unfinished ones, in their order, that `accept` takes; its parts are not counted. */
export function firstUnfinished(db: Db, accept: (row: QueueRow) => boolean): QueueRow | null {
  const rows = db
    .prepare(`SELECT *, 0 AS parts_done FROM transfers WHERE ${IN_QUEUE} AND NOT ${IS_OVER} ${IN_ORDER}`)
    .iterate();
  for (const found of rows) {
    const row = queueRowSchema.parse(found);
    if (accept(row)) return row;
  }
  return null;
}

/** Those that are over since a time (milliseconds since the epoch), the newest first. */
export function rowsThatAreOver(db: Db, since: number): readonly QueueRow[] {
  return selectQueue(db, `${IS_OVER} AND updated >= ? ORDER BY updated DESC, rowid DESC`, since);
}

export function isOver({ state }: Pick<QueueRow, "state">): boolean {
  return (OVER as readonly string[]).includes(state);
}

export function queueRow(db: Db, id: string): QueueRow {
  const [row] = selectQueue(db, "t.id = ?", id);
  if (row === undefined) throw noSuchTransfer(id);
  return row;
}

/** The one transfer that an id or its beginning names. Throws TRANSFER_NOT_FOUND or ID_AMBIGUOUS. */
export function findTransfer(db: Db, ref: string): QueueRow {
  const beginning = ref.toLowerCase();
  // "g" follows all that an id holds.
  const found = selectQueue(db, "t.id >= ? AND t.id < ? ORDER BY t.id LIMIT 3", beginning, `${beginning}g`);
  const [first, second] = found;
  if (first === undefined) throw noSuchTransfer(ref);
  if (second !== undefined) {
    const candidates = found.map(({ id }) => id);
    throw fail(
      "ID_AMBIGUOUS",
      `${ref} is the beginning of more than one transfer's id: ${candidates.join(", ")}.`,
      "Give more characters of the id.",
      { subject: ref, details: { candidates } },
    );
  }
  return first;
}

/** The transfer that a plan is of; null when it was never asked for. */
export function findTransferOf(db: Db, { direction, vault, target }: TransferPlan): QueueRow | null {
  return selectQueue(db, "direction = ? AND vault = ? AND target = ?", direction, vault, target)[0] ?? null;
}

function noSuchTransfer(ref: string): Error {
  return fail(
    "TRANSFER_NOT_FOUND",
    `No transfer on this device has an id that begins with ${ref}.`,
    "List transfers with: strongroom transfers list --all",
    { subject: ref },
  );
}

/**
 * Enters a transfer that was asked for just now, or finds it, in the caller's transaction: pauses, wishes and what stopped it before hold no more.
 * One that was over takes its place in the queue anew. Answers with its id.
 */
export function enterTransfer(db: Db, id: string, plan: TransferPlan, now: number): string {
  const { entry, ...key } = plan;
  const values = {
    ...{ direction: key.direction, vault: key.vault, target: key.target, packageId: key.packageId },
    ...{ id, packageDigest: key.packageDigest, now },
    engagement: entry?.engagement ?? "",
    name: entry?.packageName ?? "",
    bytes: entry?.bytes ?? null,
    parts: entry?.parts ?? null,
    folder: entry?.folder ?? null,
    form: entry?.form ?? null,
  };
  return db
    .prepare<[typeof values], string>(
      `INSERT INTO transfers (id, direction, vault, target, package_id, package_digest, state, created, updated,
         engagement, package_name, bytes_total, parts_total, folder, form)
       VALUES (:id, :direction, :vault, :target, :packageId, :packageDigest, 'queued', :now, :now,
         :engagement, :name, :bytes, :parts, :folder, :form)
       ON CONFLICT (direction, vault, target) DO UPDATE SET
         created = iif(${IS_OVER}, :now, created), bytes_done = iif(${IS_OVER}, 0, bytes_done),
         priority = iif(${IS_OVER}, 0, priority), state = iif(${IS_OVER}, 'queued', state),
         engagement = :engagement, package_name = :name, bytes_total = :bytes, parts_total = :parts,
         folder = :folder, form = :form, paused = 0, wish = NULL, cause = NULL, retry_at = NULL, updated = :now
       RETURNING id`,
    )
    .pluck()
    .get(values) as string;
}

export function setPriority(db: Db, id: string, priority: number): void {
  db.prepare("UPDATE transfers SET priority = ? WHERE id = ?").run(priority, id);
}

/** Nobody goes on with a transfer that nobody runs, until it is resumed. */
export function notePaused(db: Db, id: string): void {
  db.prepare("UPDATE transfers SET paused = 1, wish = NULL, retry_at = NULL WHERE id = ?").run(id);
}

/** That a transfer which somebody runs is to be paused holds no more. */
export function noteWanted(db: Db, id: string): void {
  db.prepare("UPDATE transfers SET paused = 0, wish = NULL WHERE id = ?").run(id);
}

/** When a transfer is tried again, milliseconds since the epoch, unless somebody runs it already; `fresh`: as if nothing had stopped it. */
export function noteNextTry(db: Db, id: string, retryAt: number, fresh: boolean): void {
  db.prepare(
    `UPDATE transfers SET retry_at = ?${fresh ? ", cause = NULL" : ""} WHERE id = ? AND lease_token IS NULL`,
  ).run(retryAt, id);
}
