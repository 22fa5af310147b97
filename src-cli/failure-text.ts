import type { Failure } from "../src-contract/failure.ts";
import { countText } from "./human-text.ts";
import { visible } from "./terminal-text.ts";

/** So much of a list fits on a screen; --json gives all of it. */
const SHOWN = 20;

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** One entry of a list of details: a path as text, or a finding-like record. */
function entryText(entry: unknown): string {
  if (typeof entry === "string") return visible(entry);
  if (!isRecord(entry)) return visible(JSON.stringify(entry) ?? "");
  const { code, path, message, ...rest } = entry;
  const head = [code, path].filter((part) => typeof part === "string").map((part) => visible(String(part)));
  if (typeof message === "string") return [...head, visible(message)].join("  ");
  const facts = Object.entries(rest).map(([key, value]) => `${key} ${factText(value)}`);
  return visible([...head, ...facts].join("  "));
}

function factText(value: unknown): string {
  return visible(typeof value === "string" ? value : (JSON.stringify(value) ?? ""));
}

function detailText(key: string, value: unknown): string {
  if (!Array.isArray(value)) return `  ${visible(key)}: ${factText(value)}\n`;
  let text = `  ${visible(key)}:\n`;
  for (const entry of value.slice(0, SHOWN)) text += `    ${entryText(entry)}\n`;
  const more = value.length - SHOWN;
  return more > 0 ? `${text}    and ${countText(more)} more (--json lists all)\n` : text;
}

/** A failure for a person: what, the facts, what to do next. */
export function failureText(failure: Failure): string {
  let text = `error: ${visible(failure.message)}\n`;
  for (const [key, value] of Object.entries(failure.details ?? {})) text += detailText(key, value);
  return `${text}next: ${visible(failure.nextStep)}\n`;
}

/** What a person should know although the command was done. */
export function warningText(warning: Failure): string {
  return `warning: ${visible(warning.message)}\nnext: ${visible(warning.nextStep)}\n`;
}
