import { columnsOf } from "./terminal-text.ts";

function padded(text: string, columns: number, side: "left" | "right"): string {
  const blank = " ".repeat(Math.max(0, columns - columnsOf(text)));
  return side === "left" ? text + blank : blank + text;
}

export interface Column<Row> {
  readonly heading: string;
  /** The cell's text, already visible and without line breaks. */
  readonly cell: (row: Row) => string;
  /** Figures stand on the right. */
  readonly side?: "left" | "right";
}

/** An aligned table with one heading line; `whenEmpty` instead when there is no row. Ends in a line break. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[], whenEmpty: string): string {
  if (rows.length === 0) return `${whenEmpty}\n`;
  const lines = [columns.map((column) => column.heading)];
  for (const row of rows) lines.push(columns.map((column) => column.cell(row)));
  const widths = columns.map((_, index) => {
    let widest = 0;
    for (const line of lines) widest = Math.max(widest, columnsOf(line[index] ?? ""));
    return widest;
  });
  const text = lines.map((line) =>
    line
      .map((cell, index) => padded(cell, widths[index] ?? 0, columns[index]?.side ?? "left"))
      .join("  ")
      .trimEnd(),
  );
  return `${text.join("\n")}\n`;
}

/** Labels and values, one per line, values aligned; a pair whose value is null is left out. */
export function fields(pairs: readonly (readonly [string, string | null])[], indent = "  "): string {
  const shown = pairs.filter((pair): pair is readonly [string, string] => pair[1] !== null);
  const widest = Math.max(0, ...shown.map(([label]) => columnsOf(label)));
  return shown.map(([label, value]) => `${indent}${padded(label, widest, "left")}  ${value}\n`).join("");
}

/** Visible text in lines of at most so many columns, broken between words; a word that is longer stands alone. */
export function wrapped(text: string, columns: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && columnsOf(line) + 1 + columnsOf(word) > columns) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
