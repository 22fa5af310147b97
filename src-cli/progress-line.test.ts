import { expect, test } from "vitest";
import { progressOnTerminal, progressText } from "./progress-line.ts";

test("shows phase, bar, share, rate and time left", () => {
  const text = progressText(
    { phase: "hash", done: 512 * 1024 ** 2, total: 1024 ** 3, unit: "bytes" },
    2000,
    512 * 1024 ** 2,
    120,
  );
  expect(text).toBe(
    "hash            [##########----------]   50%  512.0 MiB of 1.0 GiB  256.0 MiB/s  2.0 s left",
  );
});

test("without a total it counts", () => {
  expect(progressText({ phase: "walk", done: 1234, unit: "files" }, 0, 0, 80)).toBe(
    "walk            1,234 files",
  );
});

test("a hostile subject stays on the line and within the width", () => {
  const text = progressText(
    { phase: "walk", done: 1, unit: "files", subject: `\u001b[2J${"x".repeat(200)}` },
    0,
    0,
    60,
  );
  expect(text).toHaveLength(59);
  expect(text).toContain("\\x1b[2J");
});

test("draws at most four times a second and erases what it drew", () => {
  const written: string[] = [];
  let time = 0;
  const line = progressOnTerminal(
    {
      isTTY: true,
      columns: 80,
      write(text) {
        written.push(text);
        return true;
      },
      on: () => undefined,
    },
    () => time,
  );
  line.erase();
  expect(written).toEqual([]);
  for (time = 0; time < 1000; time += 10)
    line.report({ phase: "send", done: time, total: 1000, unit: "parts" });
  expect(written).toHaveLength(4);
  line.erase();
  expect(written.at(-1)).toBe("\r\u001b[2K");
});
