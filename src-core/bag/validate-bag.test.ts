import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Progress } from "../../src-contract/progress.ts";
import { appendTo, type BagPlan, buildBag, digestHex, type Form, writeBag } from "./testing/build-bag.ts";
import { validateBag } from "./validate-bag.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "validate-bag-"));
});
afterEach(() => rmSync(root, { recursive: true }));

const FORMS: readonly Form[] = ["folder", "tar", "tar.gz", "zip"];
const codes = (findings: readonly { code: string }[]): string[] => findings.map((finding) => finding.code);
const validate = async (plan: BagPlan, form: Form = "folder") =>
  validateBag(await writeBag(root, buildBag(plan), form));

const beta = digestHex("sha256", "beta");
const manifest = "manifest-sha256.txt";
const set = (path: string, text: string | Buffer) => (files: Map<string, Buffer>) =>
  void files.set(path, Buffer.from(text));

describe.each(FORMS)("a valid bag as %s", (form) => {
  it("has no findings, and every tag file's SHA-256 is told", async () => {
    const files = buildBag({ algorithms: ["sha256", "sha512"], edit: set("manifest.json", "{}") });
    const result = await validateBag(await writeBag(root, files, form));
    expect(result).toMatchObject({
      bagName: "bag",
      form,
      bagitVersion: "1.0",
      findings: [],
      counts: { files: 3, bytes: 9 },
      unlistedTagFiles: [],
    });
    const tags = [...files].filter(([path]) => !path.startsWith("data/"));
    expect(Object.fromEntries(result.tagFiles)).toEqual(
      Object.fromEntries(tags.map(([path, content]) => [path, digestHex("sha256", content)])),
    );
  });

  it("may hold odd names, encoded in its manifest", async () => {
    const payload = { "data/100%": "1", "data/%41": "2", "data/a\nb\r": "3", "data/é~ %TMP% ": "4" };
    expect((await validate({ payload }, form)).findings).toEqual([]);
  });

  it("is not valid once one byte of its payload has changed", async () => {
    const { findings, counts } = await validate({ spoil: set("data/dir/b c.txt", "Beta") }, form);
    expect(findings).toEqual([
      {
        code: "PAYLOAD_DIGEST_MISMATCH",
        severity: "error",
        path: "data/dir/b c.txt",
        expected: beta,
        actual: digestHex("sha256", "Beta"),
        rule: "RFC 8493 3",
        message: `A payload file's digest differs from its manifest (${manifest}).`,
      },
    ]);
    expect(counts).toEqual({ files: 3, bytes: 9 });
  });

  it("tells of all that is wrong at once", async () => {
    const { findings } = await validate(
      {
        spoil: (files) => {
          files.delete("data/empty");
          files.set("data/a.txt", Buffer.from("longer"));
          files.set("data/extra", Buffer.from("x"));
          files.set("manifest.json", Buffer.from("not listed"));
          appendTo(files, "bag-info.txt", "Changed: yes\n");
        },
      },
      form,
    );
    expect(codes(findings).toSorted()).toEqual([
      "OXUM_MISMATCH",
      "PAYLOAD_DIGEST_MISMATCH",
      "PAYLOAD_FILE_MISSING",
      "PAYLOAD_FILE_UNLISTED",
      "TAG_DIGEST_MISMATCH",
      "TAG_FILE_UNLISTED",
    ]);
  });
});

describe("folders", () => {
  it("refuses symbolic links to files and folders, listed or not", async () => {
    const bag = await writeBag(root, buildBag());
    symlinkSync("a.txt", join(bag, "data/link"));
    symlinkSync("/etc", join(bag, "data/etc"));
    expect(codes((await validateBag(bag)).findings)).toEqual(["SYMLINK", "SYMLINK"]);
  });

  it("refuses pipes without waiting for them", async () => {
    const bag = await writeBag(root, buildBag());
    execFileSync("mkfifo", [join(bag, "data/pipe")]);
    expect(codes((await validateBag(bag)).findings)).toEqual(["SPECIAL_FILE"]);
  });

  it("reports names that are not UTF-8 by their bytes", async () => {
    const bag = await writeBag(root, buildBag());
    writeFileSync(Buffer.concat([Buffer.from(`${bag}/data/x`), Buffer.from([0xff])]), "");
    const { findings } = await validateBag(bag);
    expect(findings).toMatchObject([{ code: "NAME_NOT_UNICODE", path: "data/x\\xff", severity: "error" }]);
  });

  it("finds its way when its own path looks like a manifest", async () => {
    mkdirSync(join(root, "tagmanifest-md5.txt"));
    const bag = await writeBag(join(root, "tagmanifest-md5.txt"), buildBag());
    expect((await validateBag(bag)).findings).toEqual([]);
  });

  it("reads a file of 5 GiB and reports progress that only grows", async () => {
    const zeros = "7f06c62352aebd8125b2a1841e2b9e1ffcbed602f381c3dcb3200200e383d1d5";
    const bag = await writeBag(root, buildBag({ payload: { "data/big": "" } }));
    truncateSync(join(bag, "data/big"), 5 * 1024 ** 3);
    writeFileSync(join(bag, manifest), `${zeros}  data/big\n`);
    const seen: Progress[] = [];
    const { findings, counts } = await validateBag(bag, { onProgress: (progress) => seen.push(progress) });
    const mismatch = findings.find((finding) => finding.code === "PAYLOAD_DIGEST_MISMATCH");
    expect(mismatch?.actual ?? zeros).toBe(zeros);
    expect(counts.bytes).toBe(5 * 1024 ** 3);
    const done = seen.filter((progress) => progress.phase === "verify").map((progress) => progress.done);
    expect(done).toEqual(done.toSorted((a, b) => a - b));
    expect(seen.at(-1)).toMatchObject({ phase: "verify", unit: "bytes" });
    expect(seen.at(-1)?.done).toBe(seen.at(-1)?.total);
  });

  it("stops when asked", async () => {
    const bag = await writeBag(root, buildBag());
    truncateSync(join(bag, "data/a.txt"), 64 * 1024 ** 3);
    const controller = new AbortController();
    const running = validateBag(bag, {
      signal: controller.signal,
      onProgress: ({ phase }) => phase === "verify" && controller.abort(),
    });
    await expect(running).rejects.toMatchObject({ failure: { code: "CANCELLED" } });
  });

  it("fails where there is nothing to verify", async () => {
    const failure = (code: string) => ({ failure: { code } });
    symlinkSync(root, join(root, "link"));
    execFileSync("mkfifo", [join(root, "pipe")]);
    await expect(validateBag(join(root, "absent"))).rejects.toMatchObject(failure("PATH_NOT_FOUND"));
    await expect(validateBag(join(root, "link"))).rejects.toMatchObject(failure("PATH_NOT_EVIDENCE"));
    await expect(validateBag(join(root, "pipe"))).rejects.toMatchObject(failure("PATH_NOT_EVIDENCE"));
  });
});
