import { z } from "zod";
import type { Failure } from "../../src-contract/failure.ts";
import { type Db, databaseFailure, withoutSync } from "../catalog/database.ts";
import { asFailure, fail } from "../failing.ts";
import type { Clock, StoredPart, UploadRef } from "../ports.ts";
import { BEAT_MS } from "./lease-holder.ts";

/** What a push goes through, in this order; `failed` needs a new start, `cancelled` is asked for anew or not at all, every other state goes on where it was. */
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
  "cancelled",
  "failed",
] as const;
export const PULL_STATES = [
  "queued",
  "receiving",
  "checking",
  "publishing",
  "received",
  "cancelled",
  "failed",
] as const;
export type TransferState = (typeof PUSH_STATES)[number] | (typeof PULL_STATES)[number];

/** What is transferred; direction, vault and target say which transfer it is. */
export interface TransferPlan {
  readonly direction: "push" | "pull";
  /** The vault's name in the ledger; empty for a pull from wherever the package is. */
  readonly vault: string;
  /** The archive's key (push), the absolute path of the file or folder that is to be filled (pull). */
  readonly target: string;
  readonly packageId: string;
  readonly packageDigest: string;
  /** What makes it an entry of the queue; absent for the fetching inside other work. */
  readonly entry?: QueueEntry;
}

export interface QueueEntry {
  readonly engagement: string;
  readonly packageName: string;
  /** Of the archive. */
  readonly bytes: number;
  readonly parts: number;
  /** Of a pull: the folder that is written to, and how. */
  readonly folder?: string;
  readonly form?: "bag" | "tar";
}

/** What the journal said of a transfer when its lease was taken. */
export interface FoundTransfer {
  readonly id: string;
  readonly state: TransferState;
  readonly packageId: string;
  readonly packageDigest: string;
}

/** What a transfer that runs tells of itself. */
export interface RunNote {
  /** Null while nothing has moved in this run. */
  readonly bytesDone: number | null;
  /** What it waits out, and when it tries again (milliseconds since the epoch). */
  readonly waiting: { readonly failure: Failure; readonly retryAt: number } | null;
}

const uploadSchema = z.object({
  key: z.string(),
  uploadId: z.string(),
  size: z.number(),
  partSize: z.number(),
});
const partSchema = z.object({ number: z.number(), size: z.number(), tag: z.string() });
const wishSchema = z.object({ wish: z.enum(["pause", "cancel"]).nullable() });

/** Bytes that were checked are counted only while they are: at the end of a run those that were transferred. */
const TRANSFERRED = `bytes_done = iif(state IN ('checking', 'recording', 'sealing', 'publishing'), coalesce(bytes_total, bytes_done), bytes_done)`;

function causeJson({ code, message, nextStep }: Failure): string {
  return JSON.stringify({ code, message, nextStep });
}

/** A transfer that this call may run. Every change is one transaction that first makes sure that the lease is still held. */
export class TransferLease {
  /** What the journal said when the lease was taken. */
  readonly found: FoundTransfer;
  /** Whether it was noted how this run ended. */
  settled = false;
  /** A run that is told to end is only put down, for the next worker to take up. */
  putDown = false;
  readonly #db: Db;
  readonly #token: string;
  readonly #clock: Clock;
  readonly #beat: NodeJS.Timeout;

  constructor(db: Db, found: FoundTransfer, token: string, clock: Clock) {
    this.found = found;
    this.#db = db;
    this.#token = token;
    this.#clock = clock;
    this.#beat = setInterval(() => this.#renew(), BEAT_MS);
    this.#beat.unref();
  }

  get id(): string {
    return this.found.id;
  }

  /** Whether the ledger was closed, and the work with it. */
  get isClosed(): boolean {
    return !this.#db.open;
  }

  advance(state: TransferState): void {
    this.#write(() => {
      this.#db
        .prepare("UPDATE transfers SET state = ?, cause = NULL, retry_at = NULL WHERE id = ?")
        .run(state, this.id);
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

  /** Survives the death of this process; a power cut may take the newest parts, which are sent or fetched again then. */
  addPart(key: string, part: StoredPart): void {
    withoutSync(this.#db, () =>
      this.#write(() => {
        this.#db
          .prepare(
            "INSERT OR REPLACE INTO transfer_parts (transfer, key, number, size, tag) VALUES (?, ?, ?, ?, ?)",
          )
          .run(this.id, key, part.number, part.size, part.tag);
      }),
    );
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

  /** Begins anew, for the package as its seal has this digest now; uploads must have been dropped. */
  restart(packageDigest: string): void {
    this.#write(() => {
      this.#db
        .prepare(
          "UPDATE transfers SET state = 'queued', cause = NULL, bytes_done = 0, package_digest = ? WHERE id = ?",
        )
        .run(packageDigest, this.id);
    });
  }

  /** What somebody asked of this run; null when nothing. */
  wish(): "pause" | "cancel" | null {
    const [row] = this.#read(wishSchema, "SELECT wish FROM transfers WHERE id = ?");
    return row?.wish ?? null;
  }

  /** Tells how far it is, while it runs. Where that cannot be written now, the next note will tell. */
  note({ bytesDone, waiting }: RunNote): void {
    if (this.settled) return;
    const cause = waiting === null ? null : causeJson(waiting.failure);
    this.#attempt(
      "UPDATE transfers SET bytes_done = coalesce(?, bytes_done), cause = ?, retry_at = ?, updated = ?, lease_beat = ? WHERE id = ? AND lease_token = ?",
      ...[bytesDone, cause, waiting?.retryAt ?? null, this.#clock.now(), this.#clock.now()],
    );
  }

  /** Notes why it stopped; null when it is only put down, for any worker to take up. Unless `ended`, the state stays, and the next run goes on from there. */
  stop(cause: Failure | null, ended: boolean): void {
    this.#settle(`cause = ?, retry_at = NULL, wish = NULL, ${TRANSFERRED}, state = iif(?, 'failed', state)`, [
      cause === null ? null : causeJson(cause),
      ended ? 1 : 0,
    ]);
  }

  /** Nobody goes on with it until somebody says so. */
  pause(): void {
    this.#settle(`paused = 1, wish = NULL, cause = NULL, retry_at = NULL, ${TRANSFERRED}`);
  }

  /** Ends it at a person's wish, which stays noted until what it left is dropped (queue-leftovers.ts). */
  cancel(): void {
    this.#settle("state = 'cancelled', wish = 'cancel', paused = 0, cause = NULL, retry_at = NULL");
  }

  /** What a cancelled or failed transfer left is gone. */
  forgetLeftovers(): void {
    this.#settle("wish = NULL, cause = iif(state = 'cancelled', NULL, cause), retry_at = NULL");
  }

  /** Ends it well: nothing of it has to be remembered but that it was. */
  finish(state: "stored" | "received"): void {
    this.#settle(
      "state = ?, cause = NULL, retry_at = NULL, wish = NULL, bytes_done = coalesce(bytes_total, bytes_done)",
      [state],
      "DELETE FROM transfer_objects WHERE transfer = ?",
    );
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

  #settle(changes: string, values: readonly unknown[] = [], also?: string): void {
    this.#write(() => {
      this.#db.prepare(`UPDATE transfers SET ${changes} WHERE id = ?`).run(...values, this.id);
      if (also !== undefined) this.#db.prepare(also).run(this.id);
    });
    this.settled = true;
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
              `Another process took over the transfer of package ${this.found.packageId}.`,
              "Wait for it to end, then run the command again.",
              { subject: this.found.packageId },
            );
          }
          change();
        })
        .immediate();
    } catch (error) {
      throw databaseFailure(error, this.#db.name);
    }
  }

  #renew(): void {
    this.#attempt("UPDATE transfers SET lease_beat = ? WHERE id = ? AND lease_token = ?", this.#clock.now());
  }

  /** What cannot be written now is written by the next beat or note; whether the lease is still held is seen at the next change. */
  #attempt(sql: string, ...values: readonly unknown[]): void {
    try {
      withoutSync(this.#db, () => this.#db.prepare(sql).run(...values, this.id, this.#token));
    } catch (error) {
      if (this.isClosed) clearInterval(this.#beat);
      else if (asFailure(error).failure.code === "INTERNAL") throw error;
    }
  }
}
