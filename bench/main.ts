import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { BenchError } from "./measure.ts";
import { machineText, type SuiteResult, tableText, writeResult } from "./report.ts";
import { type SuiteOptions, sealSuite } from "./seal.ts";
import { transferSuite } from "./transfer.ts";

/** Speed and memory against peers that are measured in the same run, whole processes, warm cache (CONTRIBUTING.md). */
const SUITES: Readonly<Record<string, (options: SuiteOptions) => Promise<SuiteResult>>> = {
  seal: sealSuite,
  transfer: transferSuite,
};

const USAGE = `Usage: npm run bench -- <suite> [options]

Suites: ${Object.keys(SUITES).join(", ")}

  --only CASE      run one case only; may be given again (seal: large, small, manifest, memory-small,
                   memory-large; transfer: push, pull, small)
  --runs N         how often each contender runs, after one round that does not count (5)
  --quick          small sizes, for a look at the bench itself; the figures mean nothing
  --scratch DIR    keep the evidence in DIR for the next run; else it is made anew and removed
  --out DIR        write <suite>.txt and <suite>.json there`;

function parsed() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      only: { type: "string", multiple: true, default: [] },
      runs: { type: "string", default: "5" },
      quick: { type: "boolean", default: false },
      scratch: { type: "string" },
      out: { type: "string" },
    },
  });
  const [name = ""] = positionals;
  const suite = SUITES[name];
  const runs = Number(values.runs);
  if (suite === undefined || positionals.length !== 1 || !Number.isInteger(runs) || runs < 1) {
    throw new BenchError(USAGE);
  }
  return { ...values, name, suite, runs };
}

async function main(): Promise<void> {
  const { name, suite, runs, quick, only, scratch: kept, out } = parsed();
  const scratch = kept === undefined ? mkdtempSync(join(tmpdir(), "strongroom-bench-")) : resolve(kept);
  mkdirSync(scratch, { recursive: true });
  const heading = `${quick ? "QUICK, not to be quoted. " : ""}${runs} runs each, taking turns; medians of whole processes.\n${machineText()}`;
  console.log(`${heading}\n`);
  try {
    const log = (text: string) => console.error(text);
    const result = await suite({ scratch, runs, quick, only, log });
    console.log(`\n${tableText(result)}`);
    if (out !== undefined) writeResult(resolve(out), name, heading, result);
  } finally {
    if (kept === undefined) rmSync(scratch, { recursive: true, force: true });
  }
}

try {
  await main();
} catch (error) {
  console.error(error instanceof BenchError || error instanceof TypeError ? error.message : error);
  process.exitCode = 2;
}
