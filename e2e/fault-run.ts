// Fills the matrix of faults, each cell by a run of its own, prints it and writes it into docs/reliability.md between its two marks:
//   npx node e2e/fault-run.ts
// The store is the one that STRONGROOM_TEST_S3 names, else a radosgw of its own. Nothing is written when a cell is not as it must be.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cellGroups, FaultMatrix } from "./fault-matrix.ts";
import { pushScenarios } from "./fault-push.ts";
import { readScenarios } from "./fault-read.ts";
import { faultWorld } from "./fault-world.ts";
import { startRadosgw } from "./support/radosgw.ts";
import { S3Store } from "./support/s3-store.ts";
import { namedStore } from "./support/store-facts.ts";

/** Most of the time of a cell is waiting. */
const AT_ONCE = 6;
const DOCUMENT = new URL("../docs/reliability.md", import.meta.url);
const MARKS = /(<!-- fault matrix -->\n).*(<!-- end of the fault matrix -->)/s;

async function fill(store: S3Store, folder: string): Promise<FaultMatrix | null> {
  const bucket = await store.newBucket();
  const world = await faultWorld(store, bucket, folder);
  const scenarios = [...pushScenarios(() => world), ...readScenarios(() => world)];
  const matrix = new FaultMatrix(scenarios);
  const groups = scenarios.flatMap((scenario) => cellGroups(scenario, true));
  const queue = groups.values();
  let wrong = 0;
  const work = async () => {
    for (const group of queue) {
      try {
        await group.run(matrix);
      } catch (error) {
        wrong += 1;
        console.error(`${group.name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  await store.removeBucket(bucket);
  console.log(`${matrix.table()}\n\n${groups.length} runs, ${wrong} of them not as they must be`);
  return wrong === 0 ? matrix : null;
}

const named = await namedStore(process.env);
const own = named === undefined ? await startRadosgw() : undefined;
const folder = await mkdtemp(join(tmpdir(), "strongroom-faults-"));
const facts = named ?? own?.facts;
if (facts === undefined) throw new Error("no store");
const matrix = await fill(new S3Store(facts), folder);
await rm(folder, { recursive: true, force: true });
await own?.stop();
if (matrix === null) process.exitCode = 1;
else {
  const text = await readFile(DOCUMENT, "utf8");
  if (!MARKS.test(text))
    throw new Error(`${DOCUMENT.pathname} has not the marks between which the matrix stands`);
  await writeFile(
    DOCUMENT,
    text.replace(MARKS, (_, begin, end) => `${begin}\`\`\`\n${matrix.table()}\n\`\`\`\n${end}`),
  );
}
