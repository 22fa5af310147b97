import { expect, test, vi } from "vitest";
import { amountText, countText, durationText, sizeText, TIME_COLUMNS, timeText } from "./human-text.ts";

test.each([
  [0, "0 B"],
  [1023, "1023 B"],
  [1024, "1.0 KiB"],
  [5 * 1024 ** 3, "5.0 GiB"],
  [2048 * 1024 ** 5, "2048.0 PiB"],
])("%d bytes read %s", (bytes, text) => {
  expect(sizeText(bytes)).toBe(text);
});

test("counts set thousands apart and agree with their noun", () => {
  expect(countText(1234567)).toBe("1,234,567");
  expect(amountText(1, "file")).toBe("1 file");
  expect(amountText(0, "file")).toBe("0 files");
});

test.each([
  [400, "0.4 s"],
  [42_000, "42 s"],
  [59_999, "1 min 00 s"],
  [185_000, "3 min 05 s"],
  [7_800_000, "2 h 10 min"],
])("%d ms read %s", (milliseconds, text) => {
  expect(durationText(milliseconds)).toBe(text);
});

test.each([
  ["UTC", "2026-11-21 11:41 +00:00"],
  ["Europe/Berlin", "2026-11-21 12:41 +01:00"],
  ["Asia/Kolkata", "2026-11-21 17:11 +05:30"],
  ["America/St_Johns", "2026-11-21 08:11 -03:30"],
])("times are local and name their zone: %s", (zone, text) => {
  vi.stubEnv("TZ", zone);
  try {
    expect(timeText("2026-11-21T11:41:00.123456789Z")).toBe(text);
    expect(text).toHaveLength(TIME_COLUMNS);
  } finally {
    vi.unstubAllEnvs();
  }
});

test("what is no time is shown harmless", () => {
  expect(timeText("\u001b[2J")).toBe("\\x1b[2J");
});
