import type { PreflightReport } from "../../src-contract/vault-api.ts";
import type { WalkRequest } from "./walk-sources.ts";

/** The thread that seals: posted a `SealJob`, it answers with a `SealedDraft`. */
export const SEAL_THREAD = new URL("./seal-thread.ts", import.meta.url);

/** What the sealing thread is told. Plain data: it crosses a thread boundary. */
export interface SealJob {
  readonly walk: WalkRequest;
  /** An empty folder of this draft's own; everything is written there. Null for a dry run. */
  readonly folder: string | null;
  readonly packageId: string;
  readonly engagement: string;
  readonly name: string;
  readonly mode: "copy" | "reference";
  readonly sha512: boolean;
  /** Fields of manifest.json that the user gave. */
  readonly described: {
    readonly title?: string;
    readonly producer?: string;
    readonly subject?: string;
    readonly phase?: string;
    readonly retentionClass?: string;
    readonly metadata: Readonly<Record<string, string>>;
  };
  /** For bag-info.txt. */
  readonly client: string | null;
  readonly device: string;
  readonly program: string;
  /** Milliseconds since 1970. */
  readonly created: number;
  /** Int32Array(1): 1 asks to stop. */
  readonly cancel: SharedArrayBuffer;
}

export interface SealedDraft {
  readonly preflight: PreflightReport;
  /** Null after a dry run. */
  readonly sealBytes: Uint8Array | null;
  /** Time of sealing, RFC 3339. */
  readonly sealed: string;
}
