const LATEST_SECOND = 253_402_300_799n; // 9999-12-31T23:59:59Z
const EARLIEST_SECOND = -62_167_219_200n; // 0000-01-01T00:00:00Z
const NS_PER_SECOND = 1_000_000_000n;

/**
 * Nanoseconds since 1970 as RFC 3339 in UTC, with as many digits of fraction as are not zero.
 * RFC 3339 has years 0000 to 9999 only: a time beyond is given as the nearest one it can say.
 */
export function rfc3339(nanoseconds: bigint): string {
  let seconds = nanoseconds / NS_PER_SECOND;
  let fraction = nanoseconds % NS_PER_SECOND;
  if (fraction < 0n) {
    fraction += NS_PER_SECOND;
    seconds -= 1n;
  }
  if (seconds > LATEST_SECOND) return "9999-12-31T23:59:59Z";
  if (seconds < EARLIEST_SECOND) return "0000-01-01T00:00:00Z";
  const base = wholeSecond(Number(seconds));
  if (fraction === 0n) return `${base}Z`;
  return `${base}.${fractionDigits(Number(fraction))}Z`;
}

let lastSecond = Number.NaN;
let lastText = "";

/** Files that were written together share their second: the last one is kept. */
function wholeSecond(seconds: number): string {
  if (seconds !== lastSecond) {
    lastText = new Date(seconds * 1000).toISOString().slice(0, 19);
    lastSecond = seconds;
  }
  return lastText;
}

/** Nine digits of nanoseconds without the zeros at their end. */
function fractionDigits(nanoseconds: number): string {
  let digits = nanoseconds;
  let length = 9;
  while (digits % 10 === 0) {
    digits /= 10;
    length--;
  }
  return String(digits).padStart(length, "0");
}

/** Milliseconds since 1970 as RFC 3339 in UTC. */
export function rfc3339FromMs(milliseconds: number): string {
  return rfc3339(BigInt(milliseconds) * 1_000_000n);
}

/** Whole seconds of an RFC 3339 time as `rfc3339` writes it, rounded down: what a tar header holds. */
export function wholeSeconds(time: string): number {
  return Date.parse(`${time.slice(0, 19)}Z`) / 1000;
}
