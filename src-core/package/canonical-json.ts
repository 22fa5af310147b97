/**
 * The canonical form of JSON (RFC 8785): members sorted by UTF-16 code units (section 3.2.3), numbers and strings as ECMAScript
 * writes them (3.2.2), no white space. Equal values have equal bytes, so they can be hashed and signed.
 * Throws TypeError for what has no canonical form: undefined, NaN, infinities, lone surrogates, bigints, functions, symbols,
 * and objects that are not plain (a Date, a Map), whose content JSON would lose.
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new TypeError(`${value} has no canonical JSON`);
    return JSON.stringify(value);
  }
  if (typeof value === "string") return canonicalString(value);
  // Array.from makes holes of a sparse array visible as undefined.
  if (Array.isArray(value)) return `[${Array.from(value, canonicalJson).join(",")}]`;
  if (typeof value !== "object" || !isPlain(value)) {
    throw new TypeError(`${Object.prototype.toString.call(value)} has no canonical JSON`);
  }
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, member]) => `${canonicalString(key)}:${canonicalJson(member)}`).join(",")}}`;
}

function canonicalString(text: string): string {
  if (!text.isWellFormed()) throw new TypeError("a string with a lone surrogate has no canonical JSON");
  return JSON.stringify(text);
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
