import { createHash } from "node:crypto";
import type { Db } from "../catalog/database.ts";
import { fail } from "../failing.ts";
import { canonicalJson } from "../package/canonical-json.ts";

const EVENT_TYPES = [
  "package-sealed",
  "package-stored",
  "package-pulled",
  "package-imported",
  "artifact-stored",
  "artifact-fetched",
  "fixity-checked",
  "handed-over",
  "backup-made",
  "restored",
] as const;

export type CustodyEventType = (typeof EVENT_TYPES)[number];

/** What happened, as the caller tells it. */
export interface NewCustodyEvent {
  /** RFC 3339, UTC. */
  readonly time: string;
  readonly type: (typeof EVENT_TYPES)[number];
  /** Null for what concerns no single package, as a backup. */
  readonly packageId: string | null;
  readonly engagement: string | null;
  /** Plain JSON. Never a secret: the log is kept for ever and will be shared. */
  readonly details: Readonly<Record<string, unknown>>;
}

/** One entry of the log. `hash` is the SHA-256 of the canonical JSON (RFC 8785) of all other fields, by these names. */
export interface CustodyEvent extends NewCustodyEvent {
  /** From 1, without gaps. */
  readonly seq: number;
  /** Hash of the entry before; 64 zeros for the first. */
  readonly prev: string;
  readonly hash: string;
}

export type ChainState =
  | { readonly state: "whole"; readonly events: number; readonly head: string | null }
  | { readonly state: "broken"; readonly seq: number; readonly what: string };

const GENESIS = "0".repeat(64);

interface Row {
  readonly seq: number;
  readonly time: string;
  readonly type: string;
  readonly package_id: string | null;
  readonly engagement: string | null;
  readonly details: string;
  readonly prev: string;
  readonly hash: string;
}

/**
 * Appends one event to this device's log, in a transaction of its own or inside the caller's (begin that one IMMEDIATE, or two
 * processes may read the same head and one then fails). Entries are chained by hash, not signed: signatures, and the shards by
 * which devices exchange their logs, come later and will take entries as they are here.
 */
export function appendEvent(db: Db, event: NewCustodyEvent): CustodyEvent {
  const append = db.transaction((): CustodyEvent => {
    const last = db.prepare("SELECT seq, hash FROM custody_events ORDER BY seq DESC LIMIT 1").get() as
      | Pick<Row, "seq" | "hash">
      | undefined;
    const { time, type, packageId, engagement, details } = event;
    const unhashed = {
      seq: (last?.seq ?? 0) + 1,
      time,
      type,
      packageId,
      engagement,
      details,
      prev: last?.hash ?? GENESIS,
    };
    const whole = { ...unhashed, hash: hashOf(unhashed) };
    db.prepare(
      `INSERT INTO custody_events (seq, time, type, package_id, engagement, details, prev, hash)
       VALUES (@seq, @time, @type, @packageId, @engagement, @details, @prev, @hash)`,
    ).run({ ...whole, details: canonicalJson(details) });
    return whole;
  });
  return append.immediate();
}

/** What is recorded of one package, oldest first. Does not check the chain; throws DATABASE_DAMAGED for a row that is no event. */
export function eventsOf(db: Db, packageId: string): readonly CustodyEvent[] {
  const rows = db
    .prepare("SELECT * FROM custody_events WHERE package_id = ? ORDER BY seq")
    .all(packageId) as Row[];
  return rows.map((row) => {
    const event = fromRow(row);
    if (event === null) {
      throw fail(
        "DATABASE_DAMAGED",
        `Entry ${row.seq} of the custody log is not an event.`,
        "Restore ledger.db from a backup (strongroom restore).",
        { details: { seq: row.seq } },
      );
    }
    return event;
  });
}

/**
 * Recomputes the whole chain. Finds every entry that was changed, inserted or removed, except a tail that was cut off: that shows
 * only where somebody else has seen a later head.
 */
export function checkChain(db: Db): ChainState {
  let events = 0;
  let head = GENESIS;
  const rows = db.prepare("SELECT * FROM custody_events ORDER BY seq").iterate() as IterableIterator<Row>;
  for (const row of rows) {
    const event = fromRow(row);
    const broken = (what: string) => ({ state: "broken", seq: row.seq, what }) as const;
    if (row.seq !== events + 1) return broken(`entry ${events + 1} is missing`);
    if (event === null) return broken("is not an event");
    if (event.prev !== head) return broken("does not follow the entry before it");
    const { hash, ...unhashed } = event;
    if (hashOf(unhashed) !== hash) return broken("was changed: its hash does not fit");
    head = hash;
    events++;
  }
  return { state: "whole", events, head: events === 0 ? null : head };
}

function hashOf(event: Omit<CustodyEvent, "hash">): string {
  return createHash("sha256").update(canonicalJson(event)).digest("hex");
}

function fromRow({ package_id: packageId, details: text, type, ...rest }: Row): CustodyEvent | null {
  const known = EVENT_TYPES.find((name) => name === type);
  const details = parseDetails(text);
  return known === undefined || details === null ? null : { ...rest, type: known, packageId, details };
}

/** Null for what is not an object in canonical JSON: the hash covers the value, so only one text may stand for it. */
function parseDetails(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
    return canonicalJson(value) === text ? { ...value } : null;
  } catch {
    return null;
  }
}
