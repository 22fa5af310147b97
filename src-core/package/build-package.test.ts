import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, readdirSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Progress } from "../../src-contract/progress.ts";
import { openVault } from "../open-vault.ts";
import { failureIn, valueIn, Workroom } from "../testing/workroom.ts";

let room: Workroom;
beforeEach(async () => {
  room = await Workroom.open();
});
afterEach(() => room.close());

function request(more: { readonly mode?: "copy" | "reference"; readonly name?: string } = {}) {
  return { engagement: Workroom.ENGAGEMENT, sources: [room.path("ev")], name: "site-a", ...more };
}

/** What a failed build must not leave: drafts, packages, rows that a later start would act on. */
async function expectNothingLeft(): Promise<void> {
  expect(room.packages()).toEqual([]);
  expect(valueIn(await room.vault.packageList({}))).toEqual([]);
  const again = valueIn(await openVault({ home: room.home }));
  expect(valueIn(await again.packageList({}))).toEqual([]);
  await again.close();
}

describe.each(["copy", "reference"] as const)("a source that changes under a seal by %s", (mode) => {
  const changes: readonly (readonly [string, (file: string) => void])[] = [
    ["grows", (file) => appendFileSync(file, "x")],
    ["shrinks", (file) => truncateSync(file, 1000)],
    ["vanishes", unlinkSync],
    [
      "becomes a pipe",
      (file) => {
        unlinkSync(file);
        execFileSync("mkfifo", [file]);
      },
    ],
  ];
  // A copy takes longer, and differs in nothing but who writes: one change proves it.
  test.each(mode === "copy" ? changes.slice(2, 3) : changes)(
    "and %s stops it, is named, and nothing is left",
    async (_, change) => {
      // The last file in order changes once the first bytes were read; the ring holds less than what is before it.
      for (let i = 0; i < 8; i++) truncateSync(room.write(`ev/${i}.bin`, ""), 64 * 1024 * 1024);
      const last = room.write("ev/z.bin", "evidence".repeat(1000));
      let changed = false;
      const onProgress = ({ phase }: Progress) => {
        if (phase !== "hash" || changed) return;
        changed = true;
        change(last);
      };
      const failure = failureIn(await room.vault.packageBuild(request({ mode }), { onProgress }));
      expect(changed).toBe(true);
      expect(failure).toMatchObject({ code: "SOURCE_CHANGED", subject: last });
      await expectNothingLeft();
    },
  );
});

describe("a stop by the user", () => {
  const phases: readonly Progress["phase"][] = ["walk", "hash", "write manifest"];
  test.each(
    phases.flatMap((phase) => (["copy", "reference"] as const).map((mode) => [phase, mode] as const)),
  )("while it does `%s` (%s) leaves nothing", async (phase, mode) => {
    for (let i = 0; i < 4; i++) truncateSync(room.write(`ev/${i}.bin`, ""), 32 * 1024 * 1024);
    for (let i = 0; i < 1500; i++) room.write(`ev/small/${i}`, "x");
    const abort = new AbortController();
    const onProgress = (progress: Progress) => {
      if (progress.phase === phase) abort.abort();
    };
    const outcome = await room.vault.packageBuild(request({ mode }), { onProgress, signal: abort.signal });
    expect(failureIn(outcome).code).toBe("CANCELLED");
    await expectNothingLeft();
  });

  test("before it began leaves nothing, and the next build works", async () => {
    room.write("ev/a", "x");
    expect(failureIn(await room.vault.packageBuild(request(), { signal: AbortSignal.abort() })).code).toBe(
      "CANCELLED",
    );
    await expectNothingLeft();
    expect((await room.build("ev")).files).toBe(1);
  });
});

test("a listener that throws fails the call and not the process", async () => {
  room.write("ev/a", "x");
  const onProgress = () => {
    throw new Error("the screen is gone");
  };
  expect(failureIn(await room.vault.packageBuild(request(), { onProgress })).message).toContain(
    "the screen is gone",
  );
  await expectNothingLeft();
});

describe.runIf(process.getuid?.() === 0)("on a disk that is full", () => {
  let disk: string;
  const mount = (megabytes: number) => {
    disk = room.path("disk");
    mkdirSync(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", disk]);
  };
  afterEach(() => {
    execFileSync("umount", [disk]);
  });

  test("a copy that cannot fit is refused before it begins; by reference it fits", async () => {
    mount(8);
    room.write("ev/a.bin", Buffer.alloc(9 * 1024 * 1024, 1));
    const vault = valueIn(await openVault({ home: join(disk, "home") }));
    valueIn(await vault.engagementCreate({ id: Workroom.ENGAGEMENT }));
    const failure = failureIn(await vault.packageBuild(request()));
    expect(failure.code).toBe("DISK_FULL");
    expect(failure.nextStep).toContain("--reference");
    expect(readdirSync(join(disk, "home", "packages"))).toEqual([]);
    expect(valueIn(await vault.packageBuild(request({ mode: "reference" }))).package?.holding).toBe(
      "reference",
    );
    await vault.close();
  });

  test.each(["copy", "reference"] as const)(
    "a seal by %s that fills it on the way says so and leaves nothing",
    async (mode) => {
      mount(6);
      // Small files make a manifest that is larger than they are.
      for (let i = 0; i < 4000; i++) room.write(`ev/${"n".repeat(200)}-${i}`, "");
      const vault = valueIn(await openVault({ home: join(disk, "home") }));
      valueIn(await vault.engagementCreate({ id: Workroom.ENGAGEMENT }));
      writeFileSync(join(disk, "ballast"), Buffer.alloc(mode === "copy" ? 1024 : (5.3 - 0.9) * 1024 * 1024));
      const failure = failureIn(await vault.packageBuild(request({ mode })));
      expect(failure.code).toBe("DISK_FULL");
      expect(readdirSync(join(disk, "home", "packages"))).toEqual([]);
      await vault.close();
    },
  );
});
