import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** For tests only: starts transfer-child.ts, by itself as its own process. */
export function startChild(...args: readonly string[]): ChildProcess {
  const script = fileURLToPath(new URL("./transfer-child.ts", import.meta.url));
  return spawn(process.execPath, [script, ...args], { stdio: ["ignore", "pipe", "inherit"] });
}

export interface ChildEnd {
  readonly signal: string | null;
  /** Bytes that the child moved before its end. */
  readonly moved: number;
  readonly events: number;
  readonly outcome: string;
}

export async function runChild(...args: readonly string[]): Promise<ChildEnd> {
  const child = startChild(...args);
  let output = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const signal = await new Promise<string | null>((resolve) => child.on("close", (_code, by) => resolve(by)));
  const numbers = (word: string) =>
    [...output.matchAll(new RegExp(`^${word} (\\d+)$`, "gm"))].map((found) => Number(found[1]));
  return {
    signal,
    moved: numbers("moved").reduce((sum, bytes) => sum + bytes, 0),
    events: numbers("events")[0] ?? 0,
    outcome: /^outcome (.*)$/m.exec(output)?.[1] ?? "",
  };
}
