import { styleText } from "node:util";
import type { Output } from "./output.ts";

const STYLES = {
  good: ["bold", "green"],
  bad: ["bold", "red"],
  doubtful: ["bold", "yellow"],
  strong: ["bold"],
  quiet: ["dim"],
} as const;

/** Puts emphasis on text, or gives it back as it is. */
export type Paint = (emphasis: keyof typeof STYLES, text: string) => string;

/** Colours on a terminal only, and not where NO_COLOR is set (no-color.org) or the terminal is dumb. */
export function painter(output: Output, env: NodeJS.ProcessEnv): Paint {
  const plain = !output.resultsAreTerminal || Boolean(env.NO_COLOR) || env.TERM === "dumb";
  if (plain) return (_, text) => text;
  return (emphasis, text) => styleText([...STYLES[emphasis]], text, { validateStream: false });
}
