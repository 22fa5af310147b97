/**
 * Characters that a terminal obeys instead of showing, or that change what the eye reads: control characters (ESC, CR, LF,
 * C1), format characters (bidi overrides and isolates, zero-width, byte order mark, tags), lone surrogates, line and
 * paragraph separators, blanks that look like a space or like nothing.
 */
const DECEPTIVE =
  /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\u00a0\u115f\u1160\u1680\u2000-\u200a\u202f\u205f\u2800\u3164\uffa0]/gu;
const EDGE_SPACES = /^ +| +$/g;

/** In JSON text, what JSON itself leaves raw of the above. */
const DECEPTIVE_IN_JSON = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu;

const NAMED: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escapeCharacter(character: string): string {
  const named = NAMED[character];
  if (named !== undefined) return named;
  const code = character.codePointAt(0) ?? 0;
  const hex = code.toString(16);
  if (code <= 0xff) return `\\x${hex.padStart(2, "0")}`;
  return code <= 0xffff ? `\\u${hex.padStart(4, "0")}` : `\\u{${hex}}`;
}

/**
 * Text from outside (a file name, a message that holds one) as one line that is safe on a terminal: what could move the
 * cursor, reorder or hide text becomes visible as an escape, and so do spaces at either end. For the eye only: a name that
 * holds a backslash is not marked, so the exact name is what --json gives.
 */
export function visible(text: string): string {
  return text
    .replace(DECEPTIVE, escapeCharacter)
    .replace(EDGE_SPACES, (spaces) => "\\x20".repeat(spaces.length));
}

/** JSON text with the same characters as `\uXXXX`: the same value to a parser, harmless on a terminal. */
export function harmlessJson(json: string): string {
  return json.replace(DECEPTIVE_IN_JSON, (character) => {
    let escaped = "";
    for (let index = 0; index < character.length; index += 1) {
      escaped += `\\u${character.charCodeAt(index).toString(16).padStart(4, "0")}`;
    }
    return escaped;
  });
}

const TAKES_NO_COLUMN = /[\p{Mn}\p{Me}]/u;
const TAKES_TWO_COLUMNS =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u4dbf\u4e00-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]/u;
const ASCII_ONLY = /^[\x20-\x7e]*$/;

/** Columns that visible text takes on a terminal: East Asian wide characters count two, combining marks none. */
export function columnsOf(text: string): number {
  if (ASCII_ONLY.test(text)) return text.length;
  let columns = 0;
  for (const character of text) {
    if (TAKES_NO_COLUMN.test(character)) continue;
    columns += TAKES_TWO_COLUMNS.test(character) ? 2 : 1;
  }
  return columns;
}

/** Cuts visible text at its end to fit into so many columns. */
export function cutToColumns(text: string, columns: number): string {
  if (columnsOf(text) <= columns) return text;
  let kept = "";
  let used = 0;
  for (const character of text) {
    const width = columnsOf(character);
    if (used + width > columns - 1) break;
    kept += character;
    used += width;
  }
  return columns < 1 ? "" : `${kept}…`;
}
