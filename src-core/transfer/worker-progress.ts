import type { CallOptions, Progress } from "../../src-contract/progress.ts";

/** Shows the progress of several transfers as that of one. */
export class JointProgress {
  readonly #onProgress: CallOptions["onProgress"];
  readonly #each = new Map<string, Progress>();

  constructor({ onProgress }: CallOptions) {
    this.#onProgress = onProgress;
  }

  report(id: string, progress: Progress): void {
    if (progress.unit !== "bytes") return;
    this.#each.set(id, progress);
    const parts = [...this.#each.values()];
    const sum = (of: (one: Progress) => number) => parts.reduce((all, one) => all + of(one), 0);
    const names = parts.flatMap(({ subject }) => (subject === undefined ? [] : [subject]));
    this.#onProgress?.({
      phase: progress.phase,
      done: sum(({ done }) => done),
      total: sum(({ total }) => total ?? 0),
      unit: "bytes",
      subject: names.join(", "),
    });
  }

  /** It runs no more. */
  forget(id: string): void {
    this.#each.delete(id);
  }
}
