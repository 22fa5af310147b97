import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { type Desk, ROOT, runProgram } from "../run-cli.ts";

/** A verifier that was written from docs/package-format.md alone must come to the same verdicts as the program. */
export const VERIFIER = join(ROOT, "e2e", "second-implementation", "verify_package.py");
/** The package whose bytes docs/package-format.md shows. */
export const EXAMPLE = join(ROOT, "resources", "package-format-1");

const present = spawnSync("python3", ["--version"]).status === 0;
const demanded = process.env.CI === "true";
if (!present)
  process.stderr.write("python3 not found: the tests with the second implementation are skipped.\n");
/** Tests are skipped where there is no Python; on CI its absence fails. */
export const skipped = !present && !demanded;

export interface Verdict {
  readonly exitCode: number | null;
  readonly codes: readonly string[];
}

export async function python(archive: string, seal: string): Promise<Verdict> {
  const { exitCode, out, err } = await runProgram("python3", ["-B", VERIFIER, archive, seal]);
  if (err !== "") throw new Error(err);
  return { exitCode, codes: codesOf(JSON.parse(out)) };
}

function codesOf(report: unknown): string[] {
  const findings: unknown = Reflect.get(Object(report), "findings") ?? [];
  const codes = (Array.isArray(findings) ? findings : []).map((finding) =>
    String(Reflect.get(Object(finding), "code")),
  );
  return [...new Set(codes)].sort();
}

/** The program's own verdict in full, from the same files. */
export async function program(desk: Desk, archive: string, seal: string): Promise<Verdict> {
  const { exitCode, out } = await desk.run(["verify", archive, "--seal", seal, "--full", "--json"]);
  return { exitCode, codes: codesOf(Reflect.get(Object(JSON.parse(out)), "value")) };
}
