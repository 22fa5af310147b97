import { createHash, type Hash } from "node:crypto";
import { parentPort } from "node:worker_threads";

/** One step of a running digest: bytes to add, `end` to finish it, `drop` to forget it. Every step is answered once. */
export interface DigestStep {
  readonly call: number;
  readonly digest: number;
  readonly step: Uint8Array | "end" | "drop";
}

export interface DigestAnswer {
  readonly call: number;
  /** SHA-256 in lower-case hex after `end`, else null. */
  readonly hex: string | null;
}

const running = new Map<number, Hash>();

function take({ call, digest, step }: DigestStep): DigestAnswer {
  if (step === "drop") {
    running.delete(digest);
    return { call, hex: null };
  }
  const hash = running.get(digest) ?? createHash("sha256");
  if (step === "end") {
    running.delete(digest);
    return { call, hex: hash.digest("hex") };
  }
  running.set(digest, hash.update(step));
  return { call, hex: null };
}

parentPort?.on("message", (message: DigestStep) => parentPort?.postMessage(take(message)));
