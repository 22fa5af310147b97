import { InvalidArgumentError } from "commander";

const BYTES: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1000,
  MB: 1000 ** 2,
  GB: 1000 ** 3,
  KIB: 1024,
  MIB: 1024 ** 2,
  GIB: 1024 ** 3,
};
const SECONDS: Readonly<Record<string, number>> = { s: 1, min: 60, h: 3600, d: 86_400 };

/** A limit as the user gives it: bytes per second, or none. */
export type Rate = number | "off";

/** Bytes per second of `5MiB`, `500 kB`, `1.5GiB/s`. A unit must be there: a bare number could be anything. */
export function parseRate(text: string): Rate {
  if (text.toLowerCase() === "off") return "off";
  const [, figure, unit] = /^(\d+(?:\.\d+)?) ?([A-Za-z]+)(?:\/s)?$/.exec(text) ?? [];
  const bytes = unit === undefined ? undefined : BYTES[unit.toUpperCase()];
  if (figure === undefined || bytes === undefined) {
    throw new InvalidArgumentError("Write it as 500KiB, 5MiB or 1.5MB (per second), or off.");
  }
  return Math.round(Number(figure) * bytes);
}

/** As the contract has it; what was not given stays so. */
export function limitOf(rate: Rate | undefined): number | null | undefined {
  return rate === "off" ? null : rate;
}

/** Seconds of `24h`, `30min`, `7d`, `0s`. */
export function parseAge(text: string): number {
  const [, figure, unit] = /^(\d+) ?(s|min|h|d)$/.exec(text) ?? [];
  const seconds = unit === undefined ? undefined : SECONDS[unit];
  if (figure === undefined || seconds === undefined) {
    throw new InvalidArgumentError("Write it as 30min, 24h or 7d.");
  }
  return Number(figure) * seconds;
}

/** A whole number; what is beyond the contract's bounds is refused there. */
export function parseWhole(text: string): number {
  if (!/^[+-]?\d{1,9}$/.test(text)) throw new InvalidArgumentError("Write a whole number.");
  return Number(text);
}
