import { createHash, randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Desk, ROOT, type RunOptions, runProgram } from "./run-cli.ts";

let desk: Desk;
beforeEach(async () => {
  desk = await Desk.open();
  await desk.engage();
});
afterEach(() => desk.close());

/** Runs a shell script in which $S is the program. */
function shell(script: string, more: RunOptions = {}) {
  const env = { ...process.env, STRONGROOM_HOME: desk.home, S: `${ROOT}/bin/strongroom` };
  return runProgram("bash", ["-c", `set -o pipefail; ${script}`], { cwd: desk.folder, env, ...more });
}

const PLACE = "--audit acme-2026 --phase 01_recon";

test("what goes in by a pipe comes out by a pipe, byte for byte", async () => {
  const bytes = randomBytes(20 * 2 ** 20);
  await desk.write("in.bin", bytes);
  const put = await shell(`cat in.bin | "$S" artifact put ${PLACE} - --name data.bin --json`);
  expect(put).toMatchObject({ exitCode: 0, err: "" });
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  expect(JSON.parse(put.out)).toMatchObject({ ok: true, value: { sha256, size: bytes.length } });
  const got = await shell(`"$S" artifact get ${PLACE} data.bin --to - | cmp - in.bin && echo same`);
  expect(got).toMatchObject({ exitCode: 0, out: "same\n", err: "" });
  expect((await shell(`"$S" artifact get ${PLACE} data.bin --to - | head -c 10 | wc -c`)).out.trim()).toBe(
    "10",
  );
  await desk.write("vault/campaigns/acme-2026/01_recon/data.bin", randomBytes(bytes.length));
  const bad = await shell(`"$S" artifact get ${PLACE} data.bin --to - > out.bin`);
  expect(bad.exitCode).toBe(2);
  expect(bad.err).toContain("has SHA-256");
  expect((await readFile(desk.path("out.bin"))).length).toBeLessThan(bytes.length);
});

test("a put whose pipe says no more is ended by a signal and leaves nothing", async () => {
  const folder = desk.path("vault", "campaigns", "acme-2026", "01_recon");
  const silent = "mkfifo pipe; (exec 3>pipe; sleep 20) >/dev/null 2>&1 &";
  const ended = await shell(`${silent} exec "$S" artifact put ${PLACE} - --name x < pipe`, {
    onStart: async (child) => {
      // Bounded by the program's own time limit.
      while ((await readdir(folder).catch(() => [])).length === 0) await delay(50);
      child.kill("SIGINT");
    },
  });
  expect(ended).toMatchObject({ exitCode: 2, out: "" });
  expect(ended.err).toContain("Stopped at your request.");
  expect(await readdir(folder)).toEqual([]);
});
