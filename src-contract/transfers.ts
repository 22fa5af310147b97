import { z } from "zod";
import type { Failure, Outcome } from "./failure.ts";
import { engagementIdSchema, vaultNameSchema } from "./names.ts";
import type { CallOptions } from "./progress.ts";

/** A transfer's id, whole or shortened to a unique prefix of at least four characters. */
const transferRefSchema = z
  .string()
  .regex(/^[0-9a-f][0-9a-f-]{3,35}$/i, "must be a transfer's id, or its first characters (four or more)");

/**
 * The slowest limit, bytes per second. A request that sends nothing for some 20 seconds is cut by Amazon (RequestTimeout) and after 65 by
 * radosgw (request_timeout_ms): slower, and no part would ever come through.
 */
const SLOWEST = 64 * 1024;
const FASTEST = 1024 ** 4;
/** Bytes per second of all transfers of a process together; null for no limit. */
export const bandwidthSchema = z
  .number()
  .int()
  .min(SLOWEST, "must be at least 64 KiB per second: stores cut a connection that is slower")
  .max(FASTEST, "must be at most 1 TiB per second")
  .nullable();

/** Higher goes first. */
export const prioritySchema = z
  .number()
  .int("must be a whole number")
  .min(-100, "must be from -100 to 100")
  .max(100, "must be from -100 to 100");

const DAY_SECONDS = 86_400;

/** Parsers of the requests about transfers; part of `requestSchemas`. */
export const transferRequestSchemas = {
  transfersList: z.strictObject({
    engagement: engagementIdSchema.optional(),
    /** Also those that are over: stored, received, cancelled. */
    all: z.boolean().default(false),
    /** Also those that are over since this time (RFC 3339, UTC). */
    since: z.iso.datetime().optional(),
  }),
  transferPause: z.strictObject({ transfer: transferRefSchema }),
  transferResume: z.strictObject({
    transfer: transferRefSchema,
    priority: prioritySchema.optional(),
  }),
  transferCancel: z.strictObject({ transfer: transferRefSchema }),
  transfersSetLimit: z.strictObject({ bytesPerSecond: bandwidthSchema }),
  transfersOrphans: z.strictObject({
    /** Only this vault; else those of all engagements. */
    vault: vaultNameSchema.optional(),
    /** Drops those that are old enough. */
    abort: z.boolean().default(false),
    /** Seconds. Another device may be busy with a younger one. */
    olderThan: z.number().int().nonnegative().default(DAY_SECONDS),
  }),
  runQueue: z.strictObject({
    /** Ends once nothing is left that could be done. */
    untilEmpty: z.boolean().default(false),
  }),
} as const;

/**
 * How a transfer stands, for a person. `waiting`: for what time can heal, with the cause and the next try. `stopped`: by what time cannot heal; it
 * goes on where it was. `failed`: what was sent or fetched cannot be used; it would begin anew.
 */
export type TransferStanding =
  | "queued"
  | "sending"
  | "receiving"
  | "checking"
  | "waiting"
  | "paused"
  | "stopped"
  | "failed"
  | "stored"
  | "received"
  | "cancelled";

/** One transfer of the queue. Times are RFC 3339, UTC. */
export interface TransferSummary {
  readonly id: string;
  readonly direction: "push" | "pull";
  readonly package: string;
  readonly packageName: string;
  readonly engagement: string;
  /** Where a push goes; null for a pull. */
  readonly vault: string | null;
  /** The folder that a pull writes to; null for a push. */
  readonly to: string | null;
  readonly state: TransferStanding;
  /** Sent or fetched; while it is checked, checked. */
  readonly bytesDone: number;
  /** Of the archive; null when it is not known yet. */
  readonly bytesTotal: number | null;
  readonly partsDone: number;
  readonly partsTotal: number | null;
  readonly priority: number;
  readonly created: string;
  readonly updated: string;
  /** Why it waits, was stopped, or did not come through last time. */
  readonly cause: Pick<Failure, "code" | "message" | "nextStep"> | null;
  /** When it is tried again. */
  readonly nextTry: string | null;
  /** What was asked of the process that runs it and has not taken effect yet. */
  readonly wish: "pause" | "cancel" | null;
  /** Who runs it now. */
  readonly process: { readonly pid: number; readonly machine: string } | null;
}

/** A process that does queued work. */
export interface WorkerSummary {
  readonly kind: "agent";
  readonly pid: number;
  readonly machine: string;
  readonly started: string;
}

export interface TransferQueue {
  /** Unfinished ones in the order in which they are run, then those that are over, the newest first. */
  readonly transfers: readonly TransferSummary[];
  readonly workers: readonly WorkerSummary[];
  readonly bytesPerSecond: number | null;
}

/** An upload in a vault that no unfinished transfer of this device knows. */
export interface OrphanUpload {
  readonly vault: string;
  readonly key: string;
  readonly uploadId: string;
  /** RFC 3339, UTC; null where the store does not tell. */
  readonly begun: string | null;
  /** Bytes that it holds. */
  readonly bytes: number;
  /** It is of a transfer of this device that is over; it is dropped whatever its age. */
  readonly ours: boolean;
  readonly dropped: boolean;
}

/** What a run of the queue did. */
export interface QueueRun {
  readonly done: number;
  /** Unfinished ones that need somebody: stopped, failed. */
  readonly stopped: number;
  readonly paused: number;
  /** Unfinished ones that the next run goes on with. */
  readonly left: number;
}

type TransferRequest<N extends keyof typeof transferRequestSchemas> = z.input<
  (typeof transferRequestSchemas)[N]
>;

/** The calls about transfers; part of `VaultApi`. */
export interface TransferApi {
  transfersList(request: TransferRequest<"transfersList">): Promise<Outcome<TransferQueue>>;
  /** Answers once the transfer is paused, or with `wish` `pause` when its process takes its time. */
  transferPause(
    request: TransferRequest<"transferPause">,
    options?: CallOptions,
  ): Promise<Outcome<TransferSummary>>;
  /** Leaves it to a worker, or runs it to its end where there is none. */
  transferResume(
    request: TransferRequest<"transferResume">,
    options?: CallOptions,
  ): Promise<Outcome<TransferSummary>>;
  /** As `transferPause`. */
  transferCancel(
    request: TransferRequest<"transferCancel">,
    options?: CallOptions,
  ): Promise<Outcome<TransferSummary>>;
  transfersSetLimit(
    request: TransferRequest<"transfersSetLimit">,
  ): Promise<Outcome<Pick<TransferQueue, "bytesPerSecond">>>;
  transfersOrphans(
    request: TransferRequest<"transfersOrphans">,
    options?: CallOptions,
  ): Promise<Outcome<readonly OrphanUpload[]>>;
  /** Does the work of the queue until it is told to stop, which is no failure unless it was to go on until the queue is empty. */
  runQueue(request: TransferRequest<"runQueue">, options?: CallOptions): Promise<Outcome<QueueRun>>;
}
