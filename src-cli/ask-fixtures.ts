import { EventEmitter } from "node:events";
import type { SecretInput, SecretTerminal } from "./ask-secret.ts";

/** For tests only: a standard input that the test writes to, and what was shown meanwhile. */
export function terminal(isTTY: boolean) {
  const modes: boolean[] = [];
  const input = Object.assign(new EventEmitter(), {
    isTTY,
    setRawMode: (raw: boolean) => modes.push(raw),
    setEncoding: () => undefined,
    resume: () => undefined,
    pause: () => undefined,
  }) satisfies SecretInput;
  let shown = "";
  const prompt = {
    write(text: string) {
      shown += text;
      return true;
    },
  };
  const stop = new AbortController();
  const signal: SecretTerminal["signal"] = stop.signal;
  return { input, prompt, signal, stop: () => stop.abort(), modes, shown: () => shown };
}
