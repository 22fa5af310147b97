import type { Progress, Waiting } from "../src-contract/progress.ts";
import { againText, countText, durationText, sizeText } from "./human-text.ts";
import type { TextStream } from "./output.ts";
import { columnsOf, cutToColumns, visible } from "./terminal-text.ts";

/** Four times a second is as fast as a person reads. */
const INTERVAL_MS = 250;
/** How often it is told how long a wait still is. */
const COUNT_DOWN_MS = 1000;
/** No estimate before the rate has settled. */
const SETTLED_MS = 1500;
const BAR_COLUMNS = 20;
const DEFAULT_COLUMNS = 80;
const ERASE_LINE = "\r\u001b[2K";

function amount(value: number, unit: Progress["unit"]): string {
  return unit === "bytes" ? sizeText(value) : countText(value);
}

function bar(share: number): string {
  const full = Math.round(share * BAR_COLUMNS);
  return `[${"#".repeat(full)}${"-".repeat(BAR_COLUMNS - full)}]`;
}

/** One line of progress; `elapsed` and `advanced` are milliseconds and units since the phase began. */
export function progressText(progress: Progress, elapsed: number, advanced: number, columns: number): string {
  const { done, total, unit } = progress;
  const parts: string[] = [progress.phase.padEnd(14)];
  if (total === undefined) {
    parts.push(unit === "bytes" ? sizeText(done) : `${countText(done)} ${unit}`);
  } else {
    const share = total === 0 ? 1 : Math.min(1, done / total);
    const units = unit === "bytes" ? "" : ` ${unit}`;
    parts.push(bar(share), `${Math.floor(share * 100)}%`.padStart(4));
    parts.push(`${amount(done, unit)} of ${amount(total, unit)}${units}`);
  }
  const rate = elapsed > 0 ? (advanced / elapsed) * 1000 : 0;
  if (elapsed >= SETTLED_MS && rate > 0) {
    parts.push(`${amount(unit === "bytes" ? rate : Math.round(rate), unit)}/s`);
    if (total !== undefined && total > done)
      parts.push(`${durationText(((total - done) / rate) * 1000)} left`);
  }
  if (progress.subject !== undefined) parts.push(visible(progress.subject));
  return cutToColumns(parts.join("  "), columns - 1);
}

/** What is waited for and until when, `now` being milliseconds since the epoch. */
export function waitingText({ cause, nextTry }: Waiting, now: number, columns: number): string {
  const text = `${"waiting".padEnd(14)}  ${againText(nextTry, now)}  ${visible(cause.message)}`;
  return cutToColumns(text, columns - 1);
}

export interface ProgressLine {
  report(progress: Progress): void;
  /** Shows what is waited for instead of progress, until that is over (null). */
  wait(waiting: Waiting | null): void;
  /** Takes the line away; nothing of it stays on the terminal. */
  erase(): void;
}

/** A single line that is drawn over and over on a terminal. */
export function progressOnTerminal(stream: TextStream, now: () => number): ProgressLine {
  let phase: Progress["phase"] | null = null;
  let began = 0;
  let first = 0;
  let drawn = Number.NEGATIVE_INFINITY;
  let shown = "";
  let waits: NodeJS.Timeout | undefined;
  const ignoreResult = () => undefined;
  const draw = (text: (columns: number) => string) => {
    // A terminal that does not know its width says 0.
    shown = text(stream.columns || DEFAULT_COLUMNS);
    stream.write(ERASE_LINE + shown, ignoreResult);
  };
  const stopWaiting = () => {
    clearInterval(waits);
    waits = undefined;
  };
  return {
    report(progress) {
      const time = now();
      if (progress.phase !== phase) {
        phase = progress.phase;
        began = time;
        first = progress.done;
      }
      if (waits !== undefined || time - drawn < INTERVAL_MS) return;
      drawn = time;
      draw((columns) => progressText(progress, time - began, progress.done - first, columns));
    },
    wait(waiting) {
      stopWaiting();
      if (waiting === null) return;
      const drawWait = () => draw((columns) => waitingText(waiting, Date.now(), columns));
      drawWait();
      waits = setInterval(drawWait, COUNT_DOWN_MS);
      waits.unref();
    },
    erase() {
      stopWaiting();
      if (columnsOf(shown) === 0) return;
      shown = "";
      stream.write(ERASE_LINE, ignoreResult);
    },
  };
}
