import { visible } from "./terminal-text.ts";

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Bytes for a person: `0 B`, `16.0 KiB`, `4.2 GiB`. The exact figure is in --json. */
export function sizeText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}

/** A whole number with thousands set apart: `1,234,567`. */
export function countText(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** `1 file`, `1,200 files`. */
export function amountText(count: number, noun: string): string {
  return `${countText(count)} ${noun}${count === 1 ? "" : "s"}`;
}

const two = (value: number) => String(value).padStart(2, "0");

/** Columns of a time as `timeText` gives it: `2026-11-21 15:39 +01:00`. */
export const TIME_COLUMNS = 23;

/**
 * A UTC time of the contract as local time, to the minute, with its distance from UTC, so that it means the same to a reader
 * elsewhere: `2026-11-21 15:39 +01:00`. Text that is no time is shown as it is.
 */
export function timeText(utc: string): string {
  const time = new Date(utc);
  if (Number.isNaN(time.getTime())) return visible(utc);
  const day = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  return `${day} ${two(time.getHours())}:${two(time.getMinutes())} ${zoneText(-time.getTimezoneOffset())}`;
}

/** Minutes east of UTC as RFC 3339 writes them: `+05:30`. */
function zoneText(minutesEast: number): string {
  const minutes = Math.abs(minutesEast);
  return `${minutesEast < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

/** When something is tried again (RFC 3339), seen from `now` (milliseconds since the epoch): `next try in 8 s`. */
export function againText(nextTry: string, now: number): string {
  const left = Date.parse(nextTry) - now;
  if (left <= 0) return "trying again now";
  const seconds = Math.ceil(left / 1000);
  return `next try in ${seconds < 60 ? `${seconds} s` : durationText(seconds * 1000)}`;
}

/** A span of time: `0.4 s`, `42 s`, `3 min 05 s`, `2 h 10 min`. */
export function durationText(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}
