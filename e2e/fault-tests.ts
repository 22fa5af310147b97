import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Scenario } from "./fault-cell.ts";
import { cellGroups, FaultMatrix } from "./fault-matrix.ts";
import { type FaultWorld, faultWorld } from "./fault-world.ts";
import { freshBucket, testStore } from "./support/test-store.ts";

/** Tests every cell of these scenarios, a group at a time, and prints the matrix. */
export function testFaults(
  what: string,
  scenariosOf: (world: () => FaultWorld) => readonly Scenario[],
): void {
  let folder = "";
  let world: FaultWorld | undefined;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "strongroom-faults-"));
    world = await faultWorld(testStore(), await freshBucket(), folder);
  });
  const scenarios = scenariosOf(() => {
    if (world === undefined) throw new Error("the store is there in tests only");
    return world;
  });
  const matrix = new FaultMatrix(scenarios);
  const began = performance.now();
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
    console.log(`${matrix.table()}\n\n${what}: ${Math.round((performance.now() - began) / 1000)} s`);
  });

  describe.concurrent(`faults of a store during ${what}`, () => {
    for (const group of scenarios.flatMap((scenario) => cellGroups(scenario)))
      test(group.name, { timeout: 300_000 }, () => group.run(matrix));
  });

  test("the matrix has no empty column", () => expect(matrix.cells).toBeGreaterThan(0));
}
