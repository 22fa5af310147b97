import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { codesOf, failureIn, valueIn, Workroom } from "../testing/workroom.ts";

let room: Workroom;
beforeEach(async () => {
  room = await Workroom.withEvidence();
});
afterEach(() => room.close());

/** A package handed over: an archive with its seal beside it. */
async function handedOver(more: Parameters<Workroom["build"]>[1] = {}) {
  const built = await room.build("ev", more);
  const { folder } = valueIn(
    await room.vault.packageHandover({ package: built.id, to: room.path("handover") }),
  );
  return {
    id: built.id,
    folder,
    archive: join(folder, "site-a.tar"),
    seal: join(folder, "site-a.seal.json"),
  };
}

function flip(file: string, at: number): void {
  const bytes = readFileSync(file);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}

describe("an archive with its seal", () => {
  test("a changed byte is found in its part and names the file it is in", async () => {
    const { archive } = await handedOver();
    flip(archive, 512 + 2);
    const report = await room.verify(archive);
    expect(report.verdict).toBe("not valid");
    expect(report.findings).toMatchObject([
      { code: "PART_DIGEST" },
      { code: "FILE_DIGEST", path: "data/ev/a.txt" },
    ]);
  });

  test("one that is cut off or padded is refused, whatever is missing or added", async () => {
    const { archive } = await handedOver();
    const whole = readFileSync(archive);
    for (const length of [0, 1, 511, 512, 4000, whole.length - 1025, whole.length - 1024, whole.length - 1]) {
      writeFileSync(archive, whole.subarray(0, length));
      const report = await room.verify(archive);
      expect(report.verdict).toBe("not valid");
      expect(codesOf(report)).toContain("ARCHIVE_SIZE");
    }
    writeFileSync(archive, Buffer.concat([whole, Buffer.alloc(512)]));
    expect(codesOf(await room.verify(archive))).toEqual(["ARCHIVE_SIZE"]);
  });

  test("another name is only warned of", async () => {
    const { archive, seal } = await handedOver();
    renameSync(archive, room.path("renamed.tar"));
    const report = await room.verify(room.path("renamed.tar"), { seal });
    expect(report).toMatchObject({
      verdict: "valid",
      findings: [{ code: "ARCHIVE_NAME", severity: "warning" }],
    });
  });

  test("the seal of another package does not fit", async () => {
    const { archive } = await handedOver();
    const other = await room.build("ev");
    const report = await room.verify(archive, { seal: join(other.folder, "seal.json") });
    expect(report.verdict).toBe("not valid");
    expect(codesOf(report)).toEqual(
      expect.arrayContaining(["PART_DIGEST", "MANIFEST_IDENTITY", "MANIFEST_JSON_DIGEST"]),
    );
  });

  test.each([
    [
      "an unknown format",
      (text: string) => text.replace("strongroom-seal/1", "strongroom-seal/2"),
      "strongroom-seal/2",
    ],
    ["an unknown field", (text: string) => text.replace("{", '{"aaa":1,'), "aaa"],
    [
      "an unknown archive layout",
      (text: string) => text.replace('"archiveLayout":1', '"archiveLayout":2'),
      "archiveLayout",
    ],
    ["encryption", (text: string) => text.replace('"encryption":null', '"encryption":"aes"'), "encryption"],
    ["white space", (text: string) => `${text}\n`, "canonical"],
  ])("%s in the seal is refused by name", async (_, edit, name) => {
    const { archive, seal } = await handedOver();
    writeFileSync(seal, edit(readFileSync(seal, "utf8")));
    const failure = failureIn(await room.vault.verify({ target: archive }));
    expect(failure.code).toBe("SEAL_INVALID");
    expect(failure.message).toContain(name);
    expect(failure).toMatchObject({ subject: seal });
    expect(failure.message).toContain(seal);
  });

  test("a damaged copy of a package that is here already is refused on import", async () => {
    const { id, archive } = await handedOver();
    expect(valueIn(await room.vault.packageImport({ path: archive })).id).toBe(id);
    flip(archive, 600);
    expect(failureIn(await room.vault.packageImport({ path: archive })).code).toBe("NOT_VALID");
    rmSync(archive);
    mkdirSync(archive);
    expect(failureIn(await room.vault.packageImport({ path: dirname(archive) })).code).toBe("INVALID_INPUT");
    expect(await room.verify(id)).toMatchObject({ verdict: "valid" });
  });

  test("a pipe or a folder in place of the seal, or of the archive, is refused at once", async () => {
    const { archive, seal } = await handedOver();
    rmSync(seal);
    execFileSync("mkfifo", [seal]);
    expect(failureIn(await room.vault.verify({ target: archive })).code).toBe("SEAL_INVALID");
    rmSync(archive);
    execFileSync("mkfifo", [archive]);
    expect(failureIn(await room.vault.verify({ target: archive })).code).toBe("PATH_NOT_EVIDENCE");
    expect(failureIn(await room.vault.verify({ target: room.path("gone.tar") })).code).toBe("PATH_NOT_FOUND");
  });

  test("what was verified is kept with its verdict, and told of the package", async () => {
    const { id, archive } = await handedOver();
    await room.verify(id, { full: true });
    flip(archive, 600);
    await room.verify(archive);
    const { fixity } = valueIn(await room.vault.packageShow({ package: id }));
    expect(fixity.map(({ verdict, method }) => [verdict, method])).toEqual([
      ["not valid", "sealed archive"],
      ["valid", "sealed archive, full"],
    ]);
  });
});

test("a package's id together with another seal is refused, never answered without it", async () => {
  const { id } = await room.build("ev");
  for (const remote of [false, true]) {
    const outcome = await room.vault.verify({ target: id, seal: room.path("ev/a.txt"), remote });
    expect(failureIn(outcome).code).toBe("INVALID_INPUT");
  }
});

describe("signatures", () => {
  const passphrase = "correct horse";
  function keyFile(): string {
    const { privateKey } = generateKeyPairSync("ed25519");
    const pem = privateKey.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase });
    return room.write("key.pem", pem);
  }
  const signed = () => handedOver({ keyFile: keyFile(), keyPassphrase: passphrase });
  const signatureIn = (folder: string) => {
    const below = join(folder, "site-a.signatures");
    return join(below, readdirSync(below)[0] ?? "");
  };

  test("one that is valid is named by its key", async () => {
    const { archive } = await signed();
    const report = await room.verify(archive);
    expect(report).toMatchObject({
      verdict: "valid",
      signatures: [{ state: "valid", fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/) }],
    });
  });

  test("one that was changed, or is of another package, makes it not valid, and cannot be imported", async () => {
    const first = await signed();
    const file = signatureIn(first.folder);
    const sound = readFileSync(file, "utf8");
    writeFileSync(file, sound.replace(/"sig":"../, '"sig":"AA'));
    expect(codesOf(await room.verify(first.archive))).toEqual(["SIGNATURE"]);
    const reader = await room.openOther("reader");
    expect(failureIn(await reader.packageImport({ path: first.archive })).code).toBe("NOT_VALID");
    expect(valueIn(await reader.packageList({}))).toEqual([]);

    rmSync(room.path("handover"), { recursive: true });
    const second = await signed();
    copyFileSync(signatureIn(second.folder), room.path("kept"));
    const swapped = await room.verify(second.archive);
    expect(swapped.verdict).toBe("valid");
    writeFileSync(signatureIn(second.folder), sound);
    expect(codesOf(await room.verify(second.archive))).toEqual(["SIGNATURE"]);
    await reader.close();
  });

  test("pipes and links among them are not followed", async () => {
    const { archive, folder } = await signed();
    execFileSync("mkfifo", [join(folder, "site-a.signatures", "x.dsse.json")]);
    symlinkSync("/dev/zero", join(folder, "site-a.signatures", "y.dsse.json"));
    expect((await room.verify(archive)).signatures).toHaveLength(1);
  });
});
