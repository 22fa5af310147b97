import { afterEach, expect, test, vi } from "vitest";
import { progressOnTerminal, progressText, waitingText } from "./progress-line.ts";

afterEach(() => {
  vi.useRealTimers();
});

const away = {
  code: "VAULT_UNREACHABLE",
  message: "s3://evidence at https://store.example: nothing listens there (ECONNREFUSED).",
  nextStep: "Check the connection.",
} as const;

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

test("says what is waited for and until when, within the width", () => {
  const waiting = {
    cause: { ...away, message: `\u001b[2J${away.message}` },
    nextTry: "2026-11-21T10:00:08Z",
  };
  const at = (time: string) => waitingText(waiting, Date.parse(time), 60);
  expect(at("2026-11-21T10:00:00Z")).toBe("waiting         next try in 8 s  \\x1b[2Js3://evidence at h…");
  expect(at("2026-11-21T10:00:09Z")).toMatch(/^waiting {9}trying again now {2}/);
});

test("counts a wait down in the place of progress, until it is over", () => {
  vi.useFakeTimers({ now: Date.parse("2026-11-21T10:00:00Z") });
  const written: string[] = [];
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
    () => Date.now(),
  );
  const send = () => line.report({ phase: "send", done: 1, total: 2, unit: "parts" });
  send();
  line.wait({ cause: away, nextTry: "2026-11-21T10:00:08Z" });
  expect(written.at(-1)).toContain("next try in 8 s");
  vi.advanceTimersByTime(3000);
  send();
  expect(written.at(-1)).toContain("next try in 5 s");
  line.wait(null);
  send();
  expect(written.at(-1)).toContain("1 of 2 parts");
  line.wait({ cause: away, nextTry: "2026-11-21T10:00:08Z" });
  line.erase();
  expect(written.at(-1)).toBe("\r\u001b[2K");
  const { length } = written;
  vi.advanceTimersByTime(5000);
  expect(written).toHaveLength(length);
});
