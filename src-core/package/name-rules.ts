import type { Finding } from "../../src-contract/findings.ts";
import { WINDOWS_DEVICE_NAME } from "../../src-contract/formats.ts";
import { unsafePathReason } from "../bag/safe-path.ts";

/** What a preflight can find, with its rule. Codes are stable: people filter by them. */
const PREFLIGHT_RULES = {
  NOTHING_TO_SEAL: ["error", "a package holds at least one file"],
  UNREADABLE: ["error", "every file must be readable before anything is sealed"],
  SAME_NAME_TWICE: ["error", "two sources may not have one name under data/"],
  SOURCES_OVERLAP: ["warning", "what lies in two of the sources is sealed once for each"],
  NAME_NOT_UNICODE: ["error", "RFC 8493 section 2.1.3: paths in a UTF-8 manifest are Unicode"],
  NAME_LEAVES_FOLDER: ["error", "RFC 8493 section 5.1: a path may not leave the bag on any system"],
  UNICODE_TWINS: [
    "error",
    "RFC 8493 section 6.1.1.3: names that differ only in normalisation are one name to some systems",
  ],
  CASE_TWINS: ["warning", "Windows and macOS: names that differ only in case are one name"],
  WINDOWS_NAME: ["warning", "Windows: reserved characters, device names, trailing dot or space"],
  LONG_PATH: ["warning", "Windows: paths over 240 characters do not fit under a folder of ordinary depth"],
  SYMLINK_LEFT_OUT: ["warning", "symbolic links are never followed"],
  SPECIAL_FILE_LEFT_OUT: ["warning", "only regular files and folders are evidence"],
  LITTER_LEFT_OUT: [
    "warning",
    "files that an operating system leaves behind are left out (--include-litter takes them along)",
  ],
  LITTER_INCLUDED: ["warning", "files that an operating system leaves behind change without anybody's doing"],
} as const satisfies Record<string, readonly ["error" | "warning", string]>;

export type PreflightCode = keyof typeof PREFLIGHT_RULES;

/** More findings of one code than this are counted, not listed: a person cannot act on them one by one. */
const LISTED_PER_CODE = 1000;

/** Collects preflight findings in bounded memory. */
export class PreflightFindings {
  readonly #findings: Finding[] = [];
  readonly #counts = new Map<PreflightCode, number>();

  add(code: PreflightCode, path: string, message: string): void {
    const count = (this.#counts.get(code) ?? 0) + 1;
    this.#counts.set(code, count);
    if (count > LISTED_PER_CODE) return;
    const [severity, rule] = PREFLIGHT_RULES[code];
    this.#findings.push({ code, severity, path, rule, message });
  }

  count(code: PreflightCode): number {
    return this.#counts.get(code) ?? 0;
  }

  /** All findings; where a code was found too often, a last one says how many more there were. */
  all(): Finding[] {
    const more: Finding[] = [];
    for (const [code, count] of this.#counts) {
      if (count <= LISTED_PER_CODE) continue;
      const [severity, rule] = PREFLIGHT_RULES[code];
      more.push({
        code,
        severity,
        rule,
        message: `${count - LISTED_PER_CODE} more of these are not listed.`,
      });
    }
    return [...this.#findings, ...more];
  }
}

const LITTER = /^(\.DS_Store|Thumbs\.db|\._.*)$/s;
/** Microsoft, "Naming Files, Paths, and Namespaces": reserved characters and control characters 1 to 31. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the rule is about control characters
const WINDOWS_FORBIDDEN = /[<>:"|?*\\\u0000-\u001f]/;
const LONG_PATH = 240;
const NON_ASCII = /[^\0-\x7f]/;

export function isLitter(name: string): boolean {
  return LITTER.test(name);
}

/** Reports what may go wrong elsewhere with the names of one folder, whose path in the bag is `folder`. */
export function reportNames(findings: PreflightFindings, folder: string, names: readonly string[]): void {
  for (const group of twins(names)) {
    const message = `${group.names.map((name) => JSON.stringify(name)).join(" and ")} in ${folder} are one name on some systems.`;
    findings.add(group.code, `${folder}/${group.names[0]}`, message);
  }
  for (const name of names) {
    const path = `${folder}/${name}`;
    const obstacle = windowsObstacle(name);
    if (obstacle !== null) findings.add("WINDOWS_NAME", path, `Windows cannot hold this name: ${obstacle}.`);
    if (path.length > LONG_PATH)
      findings.add("LONG_PATH", path, `The path is ${path.length} characters long.`);
    const leaves = unsafePathReason(path);
    if (leaves !== null)
      findings.add(
        "NAME_LEAVES_FOLDER",
        path,
        `The name is dangerous when unpacked elsewhere: ${leaves}. Rename it.`,
      );
  }
}

/** Why Windows cannot hold a file of this name, or null. */
export function windowsObstacle(name: string): string | null {
  if (WINDOWS_FORBIDDEN.test(name)) return "it holds a character that Windows reserves";
  if (name.endsWith(".") || name.endsWith(" ")) return "it ends in a dot or a space";
  if (WINDOWS_DEVICE_NAME.test(name)) return "it is the name of a Windows device";
  return null;
}

/**
 * Names of one folder that some systems hold to be one: the same after NFC normalisation, or besides that after folding case.
 * Returns groups of two and more.
 */
export function twins(
  names: readonly string[],
): { readonly code: "UNICODE_TWINS" | "CASE_TWINS"; readonly names: readonly string[] }[] {
  const keys = new Set<string>();
  for (const name of names) keys.add(foldCase(name));
  if (keys.size === names.length) return [];
  return [...groups(names, normalForm, "UNICODE_TWINS"), ...groups(names, foldCase, "CASE_TWINS")];
}

function groups<C extends string>(names: readonly string[], key: (name: string) => string, code: C) {
  const byKey = new Map<string, string[]>();
  for (const name of names) {
    const of = byKey.get(key(name));
    if (of === undefined) byKey.set(key(name), [name]);
    else of.push(name);
  }
  return [...byKey.values()].filter((group) => group.length > 1).map((group) => ({ code, names: group }));
}

function normalForm(name: string): string {
  return NON_ASCII.test(name) ? name.normalize("NFC") : name;
}

function foldCase(name: string): string {
  return normalForm(name).toLowerCase();
}
