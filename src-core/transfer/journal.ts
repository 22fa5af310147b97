import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { Failure } from "../../src-contract/failure.ts";
import { type Db, databaseFailure } from "../catalog/database.ts";
import { type FailureError, fail, systemCode } from "../failing.ts";
import type { Clock, StoredPart, UploadRef } from "../ports.ts";
import { BEAT_MS, isAlive, type LeaseHolder, leaseHolderSchema, thisProcess } from "./lease-holder.ts";

/** What a push goes through, in this order; `failed` needs a new start, every other state goes on where it was. */
export const PUSH_STATES = [
  "queued",
  "sending-archive",
  "completing",
  "sending-manifest",
  "sending-signatures",
  "checking",
  "recording",
  "sealing",
  "stored",
  "failed",
] as const;
export const PULL_STATES = ["queued", "receiving", "publishing", "received", "failed"] as const;
export type TransferState = (typeof PUSH_STATES)[number] | (typeof PULL_STATES)[number];

/** What is transferred; direction, vault and target say which transfer it is. */
export interface TransferPlan {
  readonly direction: "push" | "pull";
  /** The vault's name in the ledger. */
  readonly vault: string;
  /** The archive's key (push) or the absolute path of the file that is to be there (pull). */
  readonly target: string;
  readonly packageId: string;
  readonly packageDigest: string;
}

const rowSchema = z.object({
  id: z.string(),
  package_digest: z.string(),
  state: z.enum([...PUSH_STATES, ...PULL_STATES]),
  lease_token: z.string().nullable(),
  lease_holder: z.string().nullable(),
  lease_beat: z.number().nullable(),
});
type Row = z.infer<typeof rowSchema>;

const uploadSchema = z.object({
  key: z.string(),
  uploadId: z.string(),
  size: z.number(),
  partSize: z.number(),
});
const partSchema = z.object({ number: z.number(), size: z.number(), tag: z.string() });

/**
 * Takes the lease of a transfer, which is entered in the journal first when it is new. Throws BUSY, naming the process,
 * while another call or process runs it; the lease of a process that died is taken over at once. Release it in every case.
 */
export function leaseTransfer(db: Db, plan: TransferPlan, clock: Clock): TransferLease {
  const me = thisProcess();
  const token = randomUUID();
  const take = db.transaction((): Row => {
    db.prepare(
      `INSERT INTO transfers (id, direction, vault, target, package_id, package_digest, state, created, updated)
       VALUES (:id, :direction, :vault, :target, :packageId, :packageDigest, 'queued', :now, :now)
       ON CONFLICT (direction, vault, target) DO NOTHING`,
    ).run({ ...plan, id: randomUUID(), now: clock.now() });
    const row = rowSchema.parse(
      db
        .prepare(
          "SELECT * FROM transfers WHERE direction = :direction AND vault = :vault AND target = :target",
        )
        .get({ direction: plan.direction, vault: plan.vault, target: plan.target }),
    );
    if (row.lease_token !== null && row.lease_holder !== null) {
      const holder = leaseHolderSchema.parse(JSON.parse(row.lease_holder));
      if (isAlive(holder, me, clock.now() - (row.lease_beat ?? 0))) throw busy(holder, plan);
    }
    db.prepare("UPDATE transfers SET lease_token = ?, lease_holder = ?, lease_beat = ? WHERE id = ?").run(
      token,
      JSON.stringify(me),
      clock.now(),
      row.id,
    );
    return row;
  });
  try {
    return new TransferLease(db, plan, take.immediate(), token, clock);
  } catch (error) {
    throw databaseFailure(error, db.name);
  }
}

function busy(holder: LeaseHolder, plan: TransferPlan): FailureError {
  return fail(
    "BUSY",
    `Process ${holder.pid} on ${holder.machine} is already ${plan.direction === "push" ? "sending" : "fetching"} package ${plan.packageId}.`,
    "Wait for it to end, or end it; then run the command again.",
    { subject: plan.packageId, details: { pid: holder.pid, machine: holder.machine } },
  );
}

/** A transfer that this call may run. Every change is one transaction that first makes sure that the lease is still held. */
export class TransferLease {
  readonly id: string;
  /** What the journal said when the lease was taken. */
  readonly found: { readonly state: TransferState; readonly packageDigest: string };
  readonly #db: Db;
  readonly #plan: TransferPlan;
  readonly #token: string;
  readonly #clock: Clock;
  readonly #beat: NodeJS.Timeout;

  constructor(db: Db, plan: TransferPlan, row: Row, token: string, clock: Clock) {
    this.id = row.id;
    this.found = { state: row.state, packageDigest: row.package_digest };
    this.#db = db;
    this.#plan = plan;
    this.#token = token;
    this.#clock = clock;
    this.#beat = setInterval(() => this.#renew(), BEAT_MS);
    this.#beat.unref();
  }

  advance(state: TransferState): void {
    this.#write(() => {
      this.#db.prepare("UPDATE transfers SET state = ? WHERE id = ?").run(state, this.id);
    });
  }

  /** Uploads that were begun and are neither completed nor dropped. */
  uploads(): readonly UploadRef[] {
    return this.#read(
      uploadSchema,
      "SELECT key, upload_id AS uploadId, size, part_size AS partSize FROM transfer_objects WHERE transfer = ?",
    );
  }

  /** Parts of an upload that were sent or received, in order. */
  parts(key: string): readonly StoredPart[] {
    return this.#read(
      partSchema,
      "SELECT number, size, tag FROM transfer_parts WHERE transfer = ? AND key = ? ORDER BY number",
      key,
    );
  }

  addUpload(upload: UploadRef): void {
    this.#write(() => {
      this.#db
        .prepare(
          "INSERT INTO transfer_objects (transfer, key, upload_id, size, part_size) VALUES (?, ?, ?, ?, ?)",
        )
        .run(this.id, upload.key, upload.uploadId, upload.size, upload.partSize);
    });
  }

  /** Forgets an upload and its parts. */
  dropUpload(key: string): void {
    this.#write(() => {
      this.#db.prepare("DELETE FROM transfer_objects WHERE transfer = ? AND key = ?").run(this.id, key);
    });
  }

  addPart(key: string, part: StoredPart): void {
    this.#write(() => {
      this.#db
        .prepare(
          "INSERT OR REPLACE INTO transfer_parts (transfer, key, number, size, tag) VALUES (?, ?, ?, ?, ?)",
        )
        .run(this.id, key, part.number, part.size, part.tag);
    });
  }

  /** Forgets the parts that are not among those that were found to be really there. */
  keepParts(key: string, kept: readonly StoredPart[]): void {
    const numbers = new Set(kept.map(({ number }) => number));
    const gone = this.parts(key).filter(({ number }) => !numbers.has(number));
    this.#write(() => {
      const forget = this.#db.prepare(
        "DELETE FROM transfer_parts WHERE transfer = ? AND key = ? AND number = ?",
      );
      for (const { number } of gone) forget.run(this.id, key, number);
    });
  }

  /** Begins anew, for the package as it is now; uploads must have been dropped. */
  restart(): void {
    this.#write(() => {
      this.#db
        .prepare("UPDATE transfers SET state = 'queued', cause = NULL, package_digest = ? WHERE id = ?")
        .run(this.#plan.packageDigest, this.id);
    });
  }

  /** Notes why it stopped. Unless `ended`, the state stays, and the next run goes on from there. */
  stop(cause: Failure, ended: boolean): void {
    this.#write(() => {
      this.#db
        .prepare("UPDATE transfers SET cause = ?, state = iif(?, 'failed', state) WHERE id = ?")
        .run(JSON.stringify({ code: cause.code, message: cause.message }), ended ? 1 : 0, this.id);
    });
  }

  /** Ends it well: nothing of it has to be remembered but that it was. */
  finish(state: "stored" | "received"): void {
    this.#write(() => {
      this.#db.prepare("UPDATE transfers SET state = ?, cause = NULL WHERE id = ?").run(state, this.id);
      this.#db.prepare("DELETE FROM transfer_objects WHERE transfer = ?").run(this.id);
    });
  }

  /** Lets others run it. A lease that was lost already is left to its new holder. */
  release(): void {
    clearInterval(this.#beat);
    try {
      this.#db
        .prepare(
          "UPDATE transfers SET lease_token = NULL, lease_holder = NULL, lease_beat = NULL WHERE id = ? AND lease_token = ?",
        )
        .run(this.id, this.#token);
    } catch (error) {
      throw databaseFailure(error, this.#db.name);
    }
  }

  #read<T>(schema: z.ZodType<T>, sql: string, ...more: readonly string[]): readonly T[] {
    try {
      return z.array(schema).parse(this.#db.prepare(sql).all(this.id, ...more));
    } catch (error) {
      throw databaseFailure(error, this.#db.name);
    }
  }

  #write(change: () => void): void {
    try {
      this.#db
        .transaction(() => {
          const now = this.#clock.now();
          const held = this.#db
            .prepare("UPDATE transfers SET updated = ?, lease_beat = ? WHERE id = ? AND lease_token = ?")
            .run(now, now, this.id, this.#token);
          if (held.changes === 0) {
            throw fail(
              "BUSY",
              `Another process took over the transfer of package ${this.#plan.packageId}.`,
              "Wait for it to end, then run the command again.",
              { subject: this.#plan.packageId },
            );
          }
          change();
        })
        .immediate();
    } catch (error) {
      throw databaseFailure(error, this.#db.name);
    }
  }

  /** A beat that cannot be written now is written by the next one; whether the lease is still held is seen at the next change. */
  #renew(): void {
    try {
      this.#db
        .prepare("UPDATE transfers SET lease_beat = ? WHERE id = ? AND lease_token = ?")
        .run(this.#clock.now(), this.id, this.#token);
    } catch (error) {
      if (!this.#db.open) clearInterval(this.#beat);
      else if (systemCode(error)?.startsWith("SQLITE_") !== true) throw error;
    }
  }
}
