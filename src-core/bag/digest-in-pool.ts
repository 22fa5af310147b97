import type { CancelSignal } from "../../src-contract/progress.ts";
import type { DigestJob, HashPool } from "../digest/hash-pool.ts";
import type { DigestWork, Inventory } from "./inventory.ts";

/** Jobs that are plain objects at a time: a million of them at once would take more memory than all the rest. */
const SLICE = 2048;

/**
 * Sends the files of a folder or plain tar through the hash pool, largest first. Two slices are under way at a time, so that the threads
 * do not run dry between them.
 */
export async function digestInPool(
  pool: HashPool,
  inventory: Inventory,
  work: DigestWork,
  jobOf: (file: number) => Omit<DigestJob, "algorithms">,
  options: { readonly signal?: CancelSignal; readonly onBytes: (bytes: number) => void },
): Promise<void> {
  const order = work.files.toSorted((a, b) => inventory.size(b) - inventory.size(a) || a - b);
  let next = 0;
  async function runSlices(): Promise<void> {
    while (next < order.length) {
      const files = order.subarray(next, next + SLICE);
      next += SLICE;
      const jobs = Array.from(files, (file) => ({ ...jobOf(file), algorithms: work.algorithms(file) }));
      const results = await pool.run(jobs, options);
      results.forEach((result, i) => {
        work.onResult(files[i] ?? 0, result);
      });
    }
  }
  await Promise.all([runSlices(), runSlices()]);
}
