import type { S3Limits } from "./s3-settings.ts";

/** Whose turn it is: the network's and the store's in all phases but `ours`, in which a source is read or a limit waited for. */
export type Phase = "connect" | "ours" | "send" | "answer" | "receive";

/** What carries one request and its answer. */
export interface Carrier {
  readonly phase: Phase;
  /** Bytes that have moved so far, either way. */
  moved(): number;
  /** Whether bytes of the answer lie here that nobody has taken yet. */
  waiting(): boolean;
  destroy(): void;
}

/** Looks at a carrier until it is stopped, and tells once when nothing has moved for too long and it was not our turn. */
export class StallWatch {
  readonly #carrier: Carrier;
  readonly #timer: NodeJS.Timeout;
  #phase: Phase | null = null;
  #moved = -1;
  #since = 0;

  constructor(
    carrier: Carrier,
    limits: S3Limits,
    answerMs: number,
    onStall: (connecting: boolean, afterMs: number) => void,
  ) {
    this.#carrier = carrier;
    const limit = (phase: Phase) =>
      phase === "connect" ? limits.connectMs : phase === "answer" ? answerMs : limits.stallMs;
    const shortest = Math.min(limits.connectMs, limits.stallMs, answerMs);
    this.#timer = setInterval(
      () => {
        const { phase } = carrier;
        const silence = this.#silence();
        if (silence < limit(phase)) return;
        this.stop();
        onStall(phase === "connect", limit(phase));
      },
      Math.ceil(shortest / 4),
    );
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Milliseconds since something was last seen to move. */
  #silence(): number {
    const { phase } = this.#carrier;
    const moved = this.#carrier.moved();
    const ourTurn = phase === "ours" || (phase === "receive" && this.#carrier.waiting());
    if (ourTurn || moved !== this.#moved || phase !== this.#phase) {
      this.#phase = phase;
      this.#moved = moved;
      this.#since = performance.now();
    }
    return performance.now() - this.#since;
  }
}
