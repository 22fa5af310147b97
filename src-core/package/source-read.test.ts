import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FailureError } from "../failing.ts";
import type { PlanEntry } from "./plan-file.ts";
import { readUnchanged, requireEmpty } from "./source-read.ts";
import { SourceWalk } from "./walk-sources.ts";

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "strongroom-read-"));
  file = join(folder, "evidence.log");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function walked(content: string): PlanEntry {
  writeFileSync(file, content);
  mkdirSync(join(folder, "home"));
  const entries: PlanEntry[] = [];
  new SourceWalk(
    { sources: [file], home: join(folder, "home"), includeLitter: false, storeNonUnicode: false },
    (entry) => entries.push(entry),
    () => undefined,
  ).run();
  const [entry] = entries;
  if (entry === undefined) throw new Error("the walk found nothing");
  return entry;
}

function read(entry: PlanEntry): string {
  if (entry.size === 0) {
    requireEmpty(entry);
    return "";
  }
  const target = Buffer.alloc(entry.size);
  readUnchanged(entry, target, 0);
  return target.toString();
}

function refusal(entry: PlanEntry) {
  try {
    read(entry);
  } catch (error) {
    if (error instanceof FailureError) return error.failure;
    throw error;
  }
  throw new Error("the change went unseen");
}

/** Change times move in steps of a few milliseconds: a change within one step of the walk could not be told from none. */
function afterTheClockMoved(): void {
  const before = lstatSync(file, { bigint: true }).ctimeNs;
  const probe = join(folder, "probe");
  do writeFileSync(probe, "x");
  while (lstatSync(probe, { bigint: true }).ctimeNs <= before);
}

const CHANGES: readonly (readonly [string, string, () => void])[] = [
  ["grew", "its size went from 10 to 14 bytes", () => appendFileSync(file, "more")],
  ["was cut off", "it ends at byte 3", () => truncateSync(file, 3)],
  ["was emptied", "it ends at byte 0", () => truncateSync(file, 0)],
  [
    "was rewritten with the same size and its time set back",
    "it was written to",
    () => {
      const { atime, mtime } = lstatSync(file);
      writeFileSync(file, "TEN BYTES!");
      utimesSync(file, atime, mtime);
    },
  ],
  ["was touched", "it was written to", () => utimesSync(file, 1, 1)],
  ["is gone", "it is gone", () => unlinkSync(file)],
  [
    "was replaced by a file of the same size and time",
    "it was replaced by another file",
    () => {
      const { atime, mtime } = lstatSync(file);
      writeFileSync(`${file}.new`, "ten bytes!");
      utimesSync(`${file}.new`, atime, mtime);
      renameSync(`${file}.new`, file);
    },
  ],
  [
    "was replaced by a link to its own content",
    "it was replaced by a symbolic link",
    () => {
      renameSync(file, `${file}.moved`);
      symlinkSync(`${file}.moved`, file);
    },
  ],
  [
    "was replaced by a pipe",
    "it was replaced by a pipe, socket or device",
    () => {
      unlinkSync(file);
      execFileSync("mkfifo", [file]);
    },
  ],
  [
    "was replaced by a folder",
    "it was replaced by a folder",
    () => {
      unlinkSync(file);
      mkdirSync(file);
    },
  ],
];

test("a file that stayed as it was is read", () => {
  expect(read(walked("ten bytes."))).toBe("ten bytes.");
});

describe.each([
  ["a file", "ten bytes."],
  ["an empty file", ""],
])("%s that, after it was walked,", (_, content) => {
  const changes = CHANGES.filter(([what]) => content !== "" || !/cut|emptied/.test(what));
  test.each(changes)("%s is SOURCE_CHANGED, by name and reason", (_what, reason, change) => {
    const entry = walked(content);
    expect(read(entry)).toBe(content);
    afterTheClockMoved();
    change();
    const failure = refusal(entry);
    expect(failure).toMatchObject({
      code: "SOURCE_CHANGED",
      subject: file,
      message: expect.stringContaining(file),
    });
    // Of an empty file there is nothing to read, so it shows in another way that something else took its place.
    if (content !== "") expect(failure.message).toContain(reason);
  });

  test("was replaced by a socket is SOURCE_CHANGED, by name", async () => {
    const entry = walked(content);
    unlinkSync(file);
    const server = createServer().listen(file);
    await new Promise((resolve) => server.once("listening", resolve));
    expect(refusal(entry)).toMatchObject({ code: "SOURCE_CHANGED", subject: file });
    server.close();
  });
});

test("a file that says it is empty and has content, as below /proc, is not sealed as empty", () => {
  const entry = { ...walked(""), source: Buffer.from("/proc/self/status") };
  const stats = lstatSync("/proc/self/status", { bigint: true });
  expect(stats.size).toBe(0n);
  expect(refusal({ ...entry, inode: stats.ino, changedNs: stats.ctimeNs }).code).toBe("SOURCE_CHANGED");
});
