import { harmlessJson } from "./terminal-text.ts";

/** Long enough to make few writes, far below the longest string that V8 can hold (512 MiB). */
const CHUNK_LENGTH = 64 * 1024;

/** The pieces of a plain value's JSON. Lists are taken apart, so that a report of a million findings needs no text of that length. */
function* pieces(value: unknown): Generator<string> {
  if (Array.isArray(value)) {
    yield "[";
    for (let index = 0; index < value.length; index += 1) {
      if (index > 0) yield ",";
      yield JSON.stringify(value[index]) ?? "null";
    }
    yield "]";
    return;
  }
  if (typeof value === "object" && value !== null) {
    yield "{";
    let separator = "";
    for (const [key, field] of Object.entries(value)) {
      if (field === undefined) continue;
      yield `${separator}${JSON.stringify(key)}:`;
      yield* pieces(field);
      separator = ",";
    }
    yield "}";
    return;
  }
  yield JSON.stringify(value) ?? "null";
}

/** The JSON of a plain value in chunks, harmless on a terminal. */
export function* jsonChunks(value: unknown): Generator<string> {
  let chunk = "";
  for (const piece of pieces(value)) {
    chunk += piece;
    if (chunk.length >= CHUNK_LENGTH) {
      yield harmlessJson(chunk);
      chunk = "";
    }
  }
  yield harmlessJson(chunk);
}

/** The same as one string, for values that are known to be small. */
export function jsonText(value: unknown): string {
  return [...jsonChunks(value)].join("");
}
