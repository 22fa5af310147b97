const SYNTAX: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** HTML syntax; what Unicode calls other (controls, direction marks, invisible, unassigned), line ends; any space but U+0020. */
const SPECIAL = /[&<>"']|[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;

/**
 * Text for HTML content (not for attributes). Nothing in it can be markup, hide, or change the order in which the rest is read:
 * what has no shape of its own is shown as its code point.
 */
export function visibleText(text: string): string {
  return text.replace(SPECIAL, (c) => SYNTAX[c] ?? `<span class="code-point">${codePoint(c)}</span>`);
}

function codePoint(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
}
