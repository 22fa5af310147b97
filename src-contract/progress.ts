import type { Failure } from "./failure.ts";

/** A step of long work. Reported at most four times a second, and once when a phase ends. */
export interface Progress {
  readonly phase:
    | "walk"
    | "hash"
    | "write manifest"
    | "send"
    | "receive"
    | "verify"
    | "extract"
    | "index"
    | "copy"
    | "look"
    | "fetch manifests";
  readonly done: number;
  /** Absent while it is not known ("n found"). */
  readonly total?: number;
  readonly unit: "files" | "bytes" | "parts" | "packages";
  /** What is worked on now, for a person. */
  readonly subject?: string;
}

/** The part of the platform's AbortSignal that this program needs; the contract knows neither Node nor the DOM. */
export interface CancelSignal {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** A failure that is waited out before the same is tried again. */
export interface Waiting {
  readonly cause: Pick<Failure, "code" | "message" | "nextStep">;
  /** RFC 3339, UTC. */
  readonly nextTry: string;
}

/** What every long call takes: a way to stop it and ways to hear of it. */
export interface CallOptions {
  readonly signal?: CancelSignal;
  readonly onProgress?: (progress: Progress) => void;
  /** Told by a transfer of what it waits out, and with null once that is over. */
  readonly onWait?: (waiting: Waiting | null) => void;
}
