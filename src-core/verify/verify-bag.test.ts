import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { retagFolder } from "../testing/retag-folder.ts";
import { codesOf, failureIn, valueIn, Workroom } from "../testing/workroom.ts";

let room: Workroom;
beforeEach(async () => {
  room = await Workroom.withEvidence();
});
afterEach(() => room.close());

describe("an unpacked bag with its seal", () => {
  async function unpacked() {
    const built = await room.build("ev", { digest: "sha512" });
    const { path } = valueIn(await room.vault.packagePull({ package: built.id, to: room.path("review") }));
    return path;
  }

  test("is valid as it was pulled, by its own seal", async () => {
    const bag = await unpacked();
    expect(await room.verify(bag)).toMatchObject({ verdict: "valid", method: "sealed bag", findings: [] });
  });

  test("a rewritten bag-info.txt is found although its tag manifests were made anew", async () => {
    const bag = await unpacked();
    const info = join(bag, "bag-info.txt");
    writeFileSync(info, readFileSync(info, "utf8").replace("Acme", "Evil"));
    retagFolder(bag);
    expect(codesOf(await room.verify(bag))).toEqual(["TAG_MANIFEST_DIGEST"]);
  });

  test("a payload file that was changed with all manifests is found", async () => {
    const bag = await unpacked();
    appendFileSync(join(bag, "data/ev/a.txt"), "x");
    expect(codesOf(await room.verify(bag)).length).toBeGreaterThan(0);
    const sha = (file: string, program: string) =>
      execFileSync(program, [file], { encoding: "utf8" }).split(" ")[0] ?? "";
    for (const bits of ["256", "512"]) {
      const file = join(bag, `manifest-sha${bits}.txt`);
      const digest = sha(join(bag, "data/ev/a.txt"), `sha${bits}sum`);
      writeFileSync(file, readFileSync(file, "utf8").replace(/^[0-9a-f]+(?= {2}data\/ev\/a\.txt)/m, digest));
    }
    const info = join(bag, "bag-info.txt");
    writeFileSync(
      info,
      readFileSync(info, "utf8").replace(/Oxum: (\d+)/, (_, bytes) => `Oxum: ${Number(bytes) + 1}`),
    );
    retagFolder(bag);
    const report = await room.verify(bag);
    expect(report.verdict).toBe("not valid");
    expect(codesOf(report)).toEqual(["PAYLOAD_MANIFEST", "TAG_MANIFEST_DIGEST"]);
    expect(report.findings.map(({ path }) => path)).toContain("data/ev/a.txt");
  });

  test.each(["extra.txt", "tags/extra.txt", "data/extra.txt", ".hidden"])(
    "a file that was added, %s, is found",
    async (path) => {
      const bag = await unpacked();
      mkdirSync(join(bag, "tags"));
      writeFileSync(join(bag, path), "added");
      const report = await room.verify(bag);
      expect(report.verdict).toBe("not valid");
      expect(report.findings.map((finding) => finding.path)).toContain(path);
    },
  );

  test("the seal of another package does not fit", async () => {
    const bag = await unpacked();
    const other = await room.build("ev");
    expect((await room.verify(bag, { seal: join(other.folder, "seal.json") })).verdict).toBe("not valid");
  });

  test("cannot be imported when a file is missing, added bytes or another's; the file is named and nothing is left", async () => {
    const bag = await unpacked();
    const reader = await room.openOther("reader");
    cpSync(bag, room.path("kept"), { recursive: true });
    rmSync(join(bag, "data/ev/b.txt"));
    expect(failureIn(await reader.packageImport({ path: bag }))).toMatchObject({
      code: "NOT_VALID",
      subject: "data/ev/b.txt",
    });
    writeFileSync(join(bag, "data/ev/b.txt"), "longer".repeat(1000));
    expect(failureIn(await reader.packageImport({ path: bag }))).toMatchObject({
      code: "NOT_VALID",
      subject: "data/ev/b.txt",
    });
    writeFileSync(join(bag, "data/ev/b.txt"), "betA".repeat(1000));
    expect(failureIn(await reader.packageImport({ path: bag })).code).toBe("NOT_VALID");
    expect(readdirSync(room.path("reader", "packages"))).toEqual([]);
    copyFileSync(room.path("kept/data/ev/b.txt"), join(bag, "data/ev/b.txt"));
    expect(valueIn(await reader.packageImport({ path: bag })).files).toBe(3);
    await reader.close();
  });

  test("is verified on import where the same package is here already", async () => {
    const bag = await unpacked();
    expect(valueIn(await room.vault.packageImport({ path: bag })).files).toBe(3);
    writeFileSync(join(bag, "data/ev/b.txt"), "betA".repeat(1000));
    expect(failureIn(await room.vault.packageImport({ path: bag })).code).toBe("NOT_VALID");
  });
});
