import { execFileSync } from "node:child_process";
import { appendFile, chmod, mkdir } from "node:fs/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Desk } from "./run-cli.ts";

let desk: Desk;
beforeEach(async () => {
  desk = await Desk.open();
  await desk.write("bag/data/a.txt", "a");
  await desk.write("bag/data/sub/b.txt", "b");
  await desk.write("bag/bagit.txt", "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n");
  await desk.write("bag/bag-info.txt", "Payload-Oxum: 2.2\n");
  sha256sum("manifest-sha256.txt", "data/a.txt", "data/sub/b.txt");
  sha256sum("tagmanifest-sha256.txt", "bagit.txt", "bag-info.txt", "manifest-sha256.txt");
  await mkdir(desk.home);
});
afterEach(async () => {
  await chmod(desk.path("bag/data/sub"), 0o755);
  await desk.close();
});

function sha256sum(manifest: string, ...paths: readonly string[]): void {
  execFileSync("sh", ["-c", `sha256sum ${paths.join(" ")} > ${manifest}`], { cwd: desk.path("bag") });
}

async function verify() {
  const { exitCode, out } = await desk.run(["verify", desk.path("bag"), "--json"], { obeyPermissions: true });
  const { value, failure } = JSON.parse(out) as {
    value?: { verdict: string; findings: { code: string; path: string }[] };
    failure?: { code: string; message: string };
  };
  return {
    exitCode,
    verdict: value?.verdict ?? failure?.code,
    found: value?.findings.map(({ code, path }) => `${code} ${path}`) ?? [failure?.message],
  };
}

test("a file that may not be read leaves the bag unverified, not invalid", async () => {
  await chmod(desk.path("bag/data/a.txt"), 0);
  expect(await verify()).toEqual({
    exitCode: 2,
    verdict: "not verified",
    found: ["FILE_UNREADABLE data/a.txt"],
  });
});

test("files in a folder that may not be read are not called missing", async () => {
  await chmod(desk.path("bag/data/sub"), 0);
  expect(await verify()).toEqual({
    exitCode: 2,
    verdict: "not verified",
    found: ["FILE_UNREADABLE data/sub"],
  });
});

test("a bag of which a part may not be read and another is wrong is not valid", async () => {
  await chmod(desk.path("bag/data/sub"), 0);
  await appendFile(desk.path("bag/data/a.txt"), "!");
  expect(await verify()).toEqual({
    exitCode: 1,
    verdict: "not valid",
    found: ["FILE_UNREADABLE data/sub", "PAYLOAD_DIGEST_MISMATCH data/a.txt"],
  });
});

test("a bag whose manifest may not be read could not be verified", async () => {
  await chmod(desk.path("bag/manifest-sha256.txt"), 0);
  const { exitCode, verdict, found } = await verify();
  expect([exitCode, verdict]).toEqual([2, "PATH_UNREADABLE"]);
  expect(found[0]).toContain("bag/manifest-sha256.txt");
});
