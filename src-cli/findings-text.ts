import type { Finding } from "../src-contract/findings.ts";
import { amountText, countText } from "./human-text.ts";
import type { Paint } from "./paint.ts";
import { columnsOf, visible } from "./terminal-text.ts";

/** So many findings of one code are shown; --json gives all. */
const SHOWN_PER_CODE = 50;
/** So many files of one finding are named. */
const SHOWN_FILES = 20;
/** Expected and actual stand side by side while they fit on a common terminal, else one above the other. */
const SIDE_BY_SIDE_COLUMNS = 72;

function grouped(findings: readonly Finding[]): Map<string, Finding[]> {
  const groups = new Map<string, Finding[]>();
  for (const severity of ["error", "warning"] as const) {
    for (const finding of findings) {
      if (finding.severity !== severity) continue;
      const key = `${severity} ${finding.code}`;
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [finding]);
      else group.push(finding);
    }
  }
  return groups;
}

function comparison(finding: Finding): string {
  const expected = finding.expected === undefined ? null : `expected  ${visible(finding.expected)}`;
  const actual = finding.actual === undefined ? null : `actual    ${visible(finding.actual)}`;
  const present = [expected, actual].filter((line) => line !== null);
  if (present.length === 0) return "";
  const together = present.join("    ");
  if (columnsOf(together) <= SIDE_BY_SIDE_COLUMNS) return `      ${together}\n`;
  return present.map((line) => `      ${line}\n`).join("");
}

function findingText(finding: Finding): string {
  const message = visible(finding.message);
  const path = finding.path === undefined ? null : visible(finding.path);
  const head = path === null || message.includes(path) ? message : `${path}: ${message}`;
  return `    ${head}\n${comparison(finding)}${filesText(finding.files ?? [])}`;
}

function filesText(files: readonly string[]): string {
  const shown = files.slice(0, SHOWN_FILES).map((file) => `      file      ${visible(file)}\n`);
  const more = files.length - shown.length;
  return shown.join("") + (more > 0 ? `      and ${countText(more)} more (--json lists up to 1,000)\n` : "");
}

/** `RFC 8493 2.1.3` as a person cites it: `RFC 8493, section 2.1.3`. */
function ruleText(rule: string): string {
  return visible(rule.replace(/^(RFC \d+) (\d[\d.]*)$/, "$1, section $2"));
}

/** `3 errors, 1 warning`; `none`. */
export function findingTotals(errors: number, warnings: number): string {
  const parts = [];
  if (errors > 0) parts.push(amountText(errors, "error"));
  if (warnings > 0) parts.push(amountText(warnings, "warning"));
  return parts.length === 0 ? "none" : parts.join(", ");
}

/** Findings grouped by code, errors first, as one piece of text per code. */
export function* findingsText(findings: readonly Finding[], paint: Paint): Generator<string> {
  for (const group of grouped(findings).values()) {
    const first = group[0];
    if (first === undefined) continue;
    const amount = amountText(group.length, first.severity);
    let text = `\n  ${paint(first.severity === "error" ? "bad" : "doubtful", visible(first.code))}  ${amount}`;
    text += `  ${paint("quiet", `(${ruleText(first.rule)})`)}\n`;
    for (const finding of group.slice(0, SHOWN_PER_CODE)) text += findingText(finding);
    const more = group.length - SHOWN_PER_CODE;
    if (more > 0) text += `    and ${countText(more)} more (--json lists all)\n`;
    yield text;
  }
}
