import type { TransferQueue, TransferSummary } from "../src-contract/transfers.ts";
import { againText, amountText, sizeText } from "./human-text.ts";
import type { Paint } from "./paint.ts";
import { cutToColumns, visible } from "./terminal-text.ts";
import { type Column, table, wrapped } from "./text-layout.ts";

/** So much of an id names a transfer on any device that has not millions. */
const SHORT_ID = 8;
const NAME_COLUMNS = 22;
const PLACE_COLUMNS = 17;
const INDENT = " ".repeat(SHORT_ID + 2);
/** What terminals have where they do not tell. */
const WIDTH = 80;

export function shortId({ id }: TransferSummary): string {
  return id.slice(0, SHORT_ID);
}

/** `fieldwork-week-1 to office`, for a push and a pull alike. */
export function whatText(transfer: TransferSummary): string {
  return `${visible(transfer.packageName)} to ${placeText(transfer)}`;
}

function placeText({ vault, to }: TransferSummary): string {
  return visible(vault ?? to ?? "");
}

/** Of a path the end tells more than the beginning. */
function shortPlace(transfer: TransferSummary): string {
  const place = placeText(transfer);
  if (transfer.vault !== null || place.length <= PLACE_COLUMNS) return cutToColumns(place, PLACE_COLUMNS);
  return `…${place.slice(1 - PLACE_COLUMNS)}`;
}

/** `45%`; a dash where the size is not known. */
export function shareText({ bytesDone, bytesTotal }: TransferSummary): string {
  if (bytesTotal === null) return "-";
  return bytesTotal === 0 ? "100%" : `${Math.floor((100 * bytesDone) / bytesTotal)}%`;
}

/** `540.0 MiB of 1.2 GiB`. */
export function amountDone({ bytesDone, bytesTotal }: TransferSummary): string {
  return bytesTotal === null ? sizeText(bytesDone) : `${sizeText(bytesDone)} of ${sizeText(bytesTotal)}`;
}

const COLUMNS: readonly Column<TransferSummary>[] = [
  { heading: "ID", cell: shortId },
  { heading: "PACKAGE", cell: ({ packageName }) => cutToColumns(visible(packageName), NAME_COLUMNS) },
  { heading: "TO", cell: shortPlace },
  { heading: "STATE", cell: ({ state }) => state },
  { heading: "DONE", cell: shareText, side: "right" },
  {
    heading: "SIZE",
    cell: ({ bytesTotal }) => (bytesTotal === null ? "-" : sizeText(bytesTotal)),
    side: "right",
  },
];

/** When it is tried again, seen from `now` (milliseconds since the epoch); null when that is not known. */
export function nextTryText({ nextTry }: TransferSummary, now: number): string | null {
  return nextTry === null ? null : againText(nextTry, now);
}

/** What the table has no room for, in whole lines. */
function remarks(transfer: TransferSummary, now: number, columns: number): readonly string[] {
  const { cause, state, priority, wish, process } = transfer;
  const texts: string[] = [];
  if (priority !== 0) texts.push(`priority ${priority}`);
  if (wish !== null && process !== null) texts.push(`process ${process.pid} was asked to ${wish} it`);
  if (cause !== null) {
    const again = state === "waiting" ? nextTryText(transfer, now) : null;
    texts.push(
      visible(cause.message) + (again === null ? "" : ` ${again.charAt(0).toUpperCase()}${again.slice(1)}.`),
    );
    if (state === "stopped" || state === "failed") {
      texts.push(`next: ${visible(cause.nextStep)} Then: strongroom transfers resume ${shortId(transfer)}`);
    }
  }
  return texts.flatMap((text) => wrapped(text, columns - INDENT.length).map((line) => INDENT + line));
}

/** The queue as a table, each row with what is to be said of it, and who works on it. */
export function queueText(queue: TransferQueue, now: number, paint: Paint, columns = WIDTH): string {
  const whenEmpty = "Nothing is queued. What is over, too: strongroom transfers list --all";
  const lines = table(queue.transfers, COLUMNS, whenEmpty).trimEnd().split("\n");
  const text = lines.flatMap((line, index) => {
    const transfer = queue.transfers[index - 1];
    if (transfer === undefined) return [line];
    return [line, ...remarks(transfer, now, columns).map((remark) => paint("quiet", remark))];
  });
  const around = [...workText(queue), ...limitText(queue)];
  return `${[...text, ...(around.length === 0 ? [] : ["", ...around])].join("\n")}\n`;
}

/** Who does the work, or who could. */
export function workText({ transfers, workers }: TransferQueue): readonly string[] {
  const [worker] = workers;
  if (worker !== undefined) return [`The agent (process ${worker.pid}) does what is queued.`];
  const left = transfers.filter(({ state }) => state === "queued" || state === "waiting");
  const idle = left.filter(({ process }) => process === null).length;
  if (idle === 0) return [];
  return [
    `Nothing runs that would do ${idle === 1 ? "it" : `the ${amountText(idle, "transfer")}`}. Start: strongroom agent`,
  ];
}

function limitText({ bytesPerSecond }: TransferQueue): readonly string[] {
  return bytesPerSecond === null
    ? []
    : [`Limit: ${sizeText(bytesPerSecond)} per second (strongroom transfers limit)`];
}
