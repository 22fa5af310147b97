import type { TransferQueue, TransferSummary } from "../src-contract/transfers.ts";
import { durationText, sizeText, timeText } from "./human-text.ts";
import { jsonText } from "./json-text.ts";
import type { Output } from "./output.ts";
import type { Paint } from "./paint.ts";
import { cutToColumns, visible } from "./terminal-text.ts";
import { wrapped } from "./text-layout.ts";
import { amountDone, nextTryText, shareText, shortId, whatText, workText } from "./transfer-text.ts";

/** One way of showing what goes on in the queue. Times are milliseconds since the epoch. */
export interface TransferView {
  /** The queue now, and the transfers that are over since the last time. */
  show(queue: TransferQueue, over: readonly TransferSummary[], now: number): Promise<void>;
  /** Takes away what was drawn to be drawn over. */
  end(): Promise<void>;
}

/** One JSON document for every change of a transfer. */
export function jsonView(output: Output): TransferView {
  const told = new Map<string, string>();
  return {
    async show({ transfers }, over) {
      for (const transfer of [...over, ...transfers]) {
        const text = jsonText({ ok: true, value: transfer });
        if (told.get(transfer.id) === text) continue;
        told.set(transfer.id, text);
        await output.result(`${text}\n`);
      }
    },
    end: async () => undefined,
  };
}

/** Another line for a tenth more is enough for a log. */
const STEP = 0.1;

/** A line for every change of state, every new cause and every tenth. */
export function plainView(output: Output): TransferView {
  const told = new Map<string, string>();
  return {
    async show({ transfers }, over, now) {
      for (const transfer of [...over, ...transfers]) {
        const { state, cause, bytesDone, bytesTotal, wish } = transfer;
        const tenth = bytesTotal === null || bytesTotal === 0 ? 0 : Math.floor(bytesDone / bytesTotal / STEP);
        const what = JSON.stringify([state, cause?.message, wish, state === "queued" ? 0 : tenth]);
        if (told.get(transfer.id) === what) continue;
        told.set(transfer.id, what);
        const time = timeText(new Date(now).toISOString());
        const why = cause === null ? "" : `: ${visible(cause.message)}`;
        const line = `${state.padEnd(9)}  ${shareText(transfer).padStart(4)}  ${amountDone(transfer)}  ${whatText(transfer)} (${shortId(transfer)})${why}`;
        await output.result(`${time}  ${line}\n`);
      }
    },
    end: async () => undefined,
  };
}

const BAR = 10;
const RATE_OVER_MS = 10_000;
const SETTLED_MS = 2_000;
/** Lines of a cause that are shown. */
const CAUSE_LINES = 2;

/** Lines on a terminal that are drawn over and over; what is over stays above them. */
export function terminalView(output: Output, paint: Paint, signal: AbortSignal): TransferView {
  const rates = new Rates();
  let drawn = 0;
  // The line with which Ctrl-C is answered (main.ts) stands below what was drawn.
  signal.addEventListener("abort", () => {
    if (output.errors.isTTY === true) drawn += 1;
  });
  const erase = () => (drawn === 0 ? "" : `\u001b[${drawn}A\r\u001b[J`);
  return {
    async show(queue, over, now) {
      const { columns, rows } = output.resultSize;
      const width = columns - 1;
      const stays = over.map((transfer) => overText(transfer, paint, width));
      rates.note(queue.transfers, now);
      const block = blockLines(queue, rates, now, paint, width).slice(0, Math.max(1, rows - 2));
      await output.result(`${erase()}${[...stays, ...block].map((line) => `${line}\n`).join("")}`);
      drawn = block.length;
    },
    async end() {
      await output.result(erase());
      drawn = 0;
    },
  };
}

function overText(transfer: TransferSummary, paint: Paint, width: number): string {
  const { state, bytesTotal } = transfer;
  const size = bytesTotal === null || state === "cancelled" ? "" : `, ${sizeText(bytesTotal)}`;
  const text = cutToColumns(`${whatText(transfer)}${size}`, width - 11);
  return `${paint(state === "cancelled" ? "quiet" : "good", state.padEnd(9))}  ${text}`;
}

function blockLines(
  queue: TransferQueue,
  rates: Rates,
  now: number,
  paint: Paint,
  width: number,
): readonly string[] {
  const active = queue.transfers.filter(({ process, state }) => process !== null || state === "waiting");
  const lines = active.flatMap((transfer) => activeLines(transfer, rates.of(transfer), now, paint, width));
  const rest = restText(queue.transfers.filter((transfer) => !active.includes(transfer)));
  const work = active.length === 0 ? workText(queue) : [];
  const about = [...(rest === "" ? [] : [rest]), ...work].map((line) => cutToColumns(line, width));
  return lines.length + about.length === 0 ? ["Nothing is queued."] : [...lines, ...about];
}

function activeLines(
  transfer: TransferSummary,
  rate: number | null,
  now: number,
  paint: Paint,
  width: number,
): readonly string[] {
  const { state, cause, bytesDone, bytesTotal, wish } = transfer;
  const name = cutToColumns(whatText(transfer), width - 11);
  const parts = [`  ${(wish === null ? state : `to ${wish}`).padEnd(9)}`];
  if (bytesTotal !== null && bytesTotal > 0) {
    const full = Math.round((bytesDone / bytesTotal) * BAR);
    parts.push(`[${"#".repeat(full)}${"-".repeat(BAR - full)}]`);
  }
  parts.push(`${shareText(transfer).padStart(4)}  ${amountDone(transfer)}`);
  const moves = state === "sending" || state === "receiving";
  if (moves && rate !== null) {
    parts.push(`${sizeText(rate)}/s`);
    if (rate > 0 && bytesTotal !== null && bytesTotal > bytesDone) {
      parts.push(`${durationText(((bytesTotal - bytesDone) / rate) * 1000)} left`);
    }
  }
  const again = state === "waiting" ? nextTryText(transfer, now) : null;
  if (again !== null) parts.push(again);
  const why = cause === null ? [] : wrapped(visible(cause.message), width - 2).slice(0, CAUSE_LINES);
  return [
    `${paint("strong", name)}  ${paint("quiet", shortId(transfer))}`,
    cutToColumns(parts.join("  "), width),
    ...why.map((line) => paint("doubtful", cutToColumns(`  ${line}`, width))),
  ];
}

/** `12 queued, 1 paused`. */
function restText(transfers: readonly TransferSummary[]): string {
  const counts = new Map<string, number>();
  for (const { state } of transfers) counts.set(state, (counts.get(state) ?? 0) + 1);
  const text = [...counts].map(([state, count]) => `${count} ${state}`).join(", ");
  return text === "" ? "" : `${text} (strongroom transfers list)`;
}

interface Sample {
  readonly time: number;
  readonly bytes: number;
}

/** Bytes per second over the last seconds. */
class Rates {
  #samples = new Map<string, readonly Sample[]>();

  note(transfers: readonly TransferSummary[], now: number): void {
    const next = new Map<string, readonly Sample[]>();
    for (const { id, bytesDone } of transfers) {
      const before = this.#samples.get(id) ?? [];
      const kept = before.filter(({ time, bytes }) => now - time <= RATE_OVER_MS && bytes <= bytesDone);
      next.set(id, [...kept, { time: now, bytes: bytesDone }]);
    }
    this.#samples = next;
  }

  /** Null until it has settled. */
  of({ id }: TransferSummary): number | null {
    const samples = this.#samples.get(id) ?? [];
    const [first, last] = [samples[0], samples.at(-1)];
    if (first === undefined || last === undefined || last.time - first.time < SETTLED_MS) return null;
    return ((last.bytes - first.bytes) / (last.time - first.time)) * 1000;
  }
}
