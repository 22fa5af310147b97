import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { OpenedVault } from "./open-vault.ts";
import { failureIn, filesBelow, valueIn, Workroom } from "./testing/workroom.ts";

let room: Workroom;
const opened: OpenedVault[] = [];
beforeEach(async () => {
  room = await Workroom.open();
  room.write("ev/a.txt", "alpha");
  room.write("ev/sub/größe\n100%", "beta");
  room.write("ev/zero", "");
  room.write(`ev/${"漢".repeat(85)}`, "a name of 255 bytes");
  mkdirSync(room.path("ev/empty/deep"), { recursive: true });
  utimesSync(room.path("ev/a.txt"), 1_000_000_000.25, 1_000_000_000.25);
});
afterEach(async () => {
  for (const vault of opened.splice(0)) await vault.close();
  await room.close();
});

async function other(name: string): Promise<OpenedVault> {
  const vault = await room.openOther(name);
  opened.push(vault);
  return vault;
}

const contents = (folder: string) =>
  Object.fromEntries(filesBelow(folder).map((path) => [path, readFileSync(join(folder, path), "utf8")]));

describe("a package that is pulled", () => {
  test.each(["held here", "in the vault only"])(
    "as a bag, %s, is the evidence again: contents, times, empty files and folders",
    async (where) => {
      await room.addVault();
      const { id } = await room.build("ev");
      valueIn(await room.vault.packagePush({ package: id }));
      let reader = room.vault;
      if (where !== "held here") {
        reader = await other("reader");
        valueIn(await reader.engagementCreate({ id: Workroom.ENGAGEMENT }));
        await room.addVault(reader);
      }
      const pulled = valueIn(await reader.packagePull({ package: id, to: room.path("to") }));
      const bag = room.path("to", "site-a");
      expect(pulled).toMatchObject({ path: bag, files: 4 });
      expect(contents(join(bag, "data/ev"))).toEqual(contents(room.path("ev")));
      expect(readdirSync(join(bag, "data/ev/empty"))).toEqual(["deep"]);
      expect(statSync(join(bag, "data/ev/a.txt")).mtimeMs).toBe(1_000_000_000_250);
      expect(readdirSync(room.path("to")).sort()).toEqual(["site-a", "site-a.seal.json"]);
      execFileSync("sha256sum", ["--quiet", "-c", "tagmanifest-sha256.txt"], { cwd: bag });
      expect(valueIn(await reader.verify({ target: bag })).verdict).toBe("valid");
    },
  );

  test.each([
    ["bag", "site-a"],
    ["bag", "site-a.seal.json"],
    ["bag", "site-a.signatures"],
    ["tar", "site-a.tar"],
    ["tar", "site-a.seal.json"],
  ] as const)("as %s is refused where %s is already there, which stays as it was", async (as, taken) => {
    const { id } = await room.build("ev");
    room.write(`to/${taken}/mine`, "mine");
    const outcome = await room.vault.packagePull({ package: id, to: room.path("to"), as });
    if (taken === "site-a.signatures") expect(filesBelow(room.path("to", taken))).toEqual(["mine"]);
    else expect(failureIn(outcome)).toMatchObject({ code: "PATH_EXISTS", subject: room.path("to", taken) });
    expect(readFileSync(room.path("to", taken, "mine"), "utf8")).toBe("mine");
  });

  test("one file, also an empty one and one with a name of 255 bytes, is written alone and never over another", async () => {
    const { id } = await room.build("ev");
    for (const name of ["a.txt", "zero", "漢".repeat(85), "sub/größe\n100%"]) {
      const pulled = valueIn(
        await room.vault.packagePull({ package: id, to: room.path("to"), file: `data/ev/${name}` }),
      );
      expect(readFileSync(pulled.path, "utf8")).toBe(readFileSync(room.path("ev", name), "utf8"));
    }
    expect(readdirSync(room.path("to"))).toHaveLength(4);
    const again = await room.vault.packagePull({ package: id, to: room.path("to"), file: "data/ev/a.txt" });
    expect(failureIn(again).code).toBe("PATH_EXISTS");
    const unknown = await room.vault.packagePull({
      package: id,
      to: room.path("to"),
      file: "data/ev/../../x",
    });
    expect(failureIn(unknown).code).toBe("FILE_NOT_IN_PACKAGE");
  });

  test("one file whose bytes are not what was sealed is not written", async () => {
    const { id, folder } = await room.build("ev");
    const archive = join(folder, "site-a.tar");
    const bytes = readFileSync(archive);
    bytes[bytes.indexOf("alpha")] = 0x41;
    chmodSync(archive, 0o600);
    writeFileSync(archive, bytes);
    const failure = failureIn(
      await room.vault.packagePull({ package: id, to: room.path("to"), file: "data/ev/a.txt" }),
    );
    expect(failure).toMatchObject({ code: "DIGEST_MISMATCH", subject: "data/ev/a.txt" });
    expect(readdirSync(room.path("to"))).toEqual([]);
    expect(failureIn(await room.vault.packagePull({ package: id, to: room.path("to") })).code).toBe(
      "DIGEST_MISMATCH",
    );
    expect(readdirSync(room.path("to"))).toEqual([]);
  });
});

describe("a package that is imported", () => {
  test.each(["tar", "bag", "handover"])(
    "from a %s becomes the same package, to the byte, in another home",
    async (from) => {
      const { id, folder, packageDigest } = await room.build("ev", { digest: "sha512" });
      const path =
        from === "handover"
          ? valueIn(await room.vault.packageHandover({ package: id, to: room.path("to") })).folder
          : valueIn(
              await room.vault.packagePull({
                package: id,
                to: room.path("to"),
                as: from === "tar" ? "tar" : "bag",
              }),
            ).path;
      const reader = await other("reader");
      const summary = valueIn(await reader.packageImport({ path }));
      expect(summary).toMatchObject({ id, packageDigest, holding: "held", engagement: Workroom.ENGAGEMENT });
      for (const name of ["site-a.tar", "seal.json", "manifest.json"]) {
        expect(
          readFileSync(room.path("reader/packages", id, name)).equals(readFileSync(join(folder, name))),
        ).toBe(true);
      }
      expect(readdirSync(room.path("reader/packages", id)).sort()).toEqual([
        "manifest.json",
        "seal.json",
        "site-a.tar",
      ]);
      expect(valueIn(await reader.verify({ target: id, full: true })).verdict).toBe("valid");
      expect(valueIn(await reader.packageImport({ path })).id).toBe(id);
    },
  );

  test("tampered, without a seal, or stopped leaves nothing", async () => {
    const { id } = await room.build("ev");
    const { path } = valueIn(await room.vault.packagePull({ package: id, to: room.path("to"), as: "tar" }));
    const reader = await other("reader");
    const abort = new AbortController();
    const stopped = await reader.packageImport(
      { path },
      { signal: abort.signal, onProgress: () => abort.abort() },
    );
    expect(failureIn(stopped).code).toBe("CANCELLED");
    const bytes = readFileSync(path);
    bytes[600] = 1;
    writeFileSync(path, bytes);
    expect(failureIn(await reader.packageImport({ path })).code).toBe("DIGEST_MISMATCH");
    truncateSync(path, 5000);
    expect(failureIn(await reader.packageImport({ path })).code).toBe("NOT_VALID");
    rmSync(room.path("to/site-a.seal.json"));
    expect(failureIn(await reader.packageImport({ path })).code).toBe("SEAL_NOT_FOUND");
    expect(readdirSync(room.path("reader/packages"))).toEqual([]);
    expect(valueIn(await reader.engagementList({}))).toEqual([]);
  });
});

test("a handover is refused where one lies already, and the next one has all that was asked", async () => {
  const { id } = await room.build("ev");
  const { folder, files } = valueIn(await room.vault.packageHandover({ package: id, to: room.path("to") }));
  expect(files).toEqual(["HOW-TO-VERIFY.txt", "site-a.custody.jsonl", "site-a.seal.json", "site-a.tar"]);
  expect(failureIn(await room.vault.packageHandover({ package: id, to: room.path("to") }))).toMatchObject({
    code: "PATH_EXISTS",
    subject: folder,
  });
  expect(readdirSync(room.path("to"))).toEqual(["site-a-handover"]);
});

describe("a backup", () => {
  async function backedUp() {
    await room.addVault();
    const held = await room.build("ev", { title: "kept" });
    const referred = await room.build("ev", { mode: "reference", name: "site-b" });
    const stored = await room.build("ev", { name: "site-c" });
    valueIn(await room.vault.packagePush({ package: stored.id }));
    const result = valueIn(await room.vault.backup({ to: room.path("backups") }));
    return { ...result, held, referred, stored };
  }

  test("holds what is nowhere else; restored elsewhere it is all there again, and goes on", async () => {
    const { folder, held, referred, packages, notHeld } = await backedUp();
    expect(packages).toEqual([held.id, referred.id]);
    expect(notHeld).toEqual([referred.id]);
    const restored = await other("restored");
    expect(valueIn(await restored.restore({ from: room.path("backups") }))).toMatchObject({
      folder,
      packages,
      notHeld,
    });
    expect(valueIn(await restored.packageList({})).map(({ id, title }) => [id, title])).toEqual([
      [held.id, "kept"],
      [referred.id, null],
    ]);
    expect(valueIn(await restored.engagementShow({ id: Workroom.ENGAGEMENT }))).toMatchObject({
      client: "Acme",
      vault: "stick",
    });
    for (const id of [held.id, referred.id])
      expect(valueIn(await restored.verify({ target: id })).verdict).toBe("valid");
    expect(valueIn(await restored.packagePush({ package: held.id })).alreadyStored).toBe(false);
    const again = await restored.packageBuild({
      engagement: Workroom.ENGAGEMENT,
      sources: [room.path("ev")],
      name: "site-d",
    });
    expect(valueIn(again).package?.files).toBe(4);
  });

  test("is refused by a state folder that is in use, which stays as it was", async () => {
    await backedUp();
    const used = await other("used");
    valueIn(await used.engagementCreate({ id: "mine-2026" }));
    expect(failureIn(await used.restore({ from: room.path("backups") })).code).toBe("PATH_EXISTS");
    expect(valueIn(await used.engagementList({})).map(({ id }) => id)).toEqual(["mine-2026"]);
    expect(valueIn(await used.packageList({}))).toEqual([]);
  });

  const damages: readonly (readonly [string, (folder: string, id: string) => void, string])[] = [
    [
      "a changed archive",
      (folder, id) => appendFileSync(join(folder, "packages", id, "site-a.tar"), "x"),
      "BACKUP_INVALID",
    ],
    [
      "a missing file",
      (folder, id) => rmSync(join(folder, "packages", id, "manifest.json")),
      "BACKUP_INVALID",
    ],
    ["an added file", (folder) => writeFileSync(join(folder, "added"), "x"), "BACKUP_INVALID"],
    ["a pipe in it", (folder) => void execFileSync("mkfifo", [join(folder, "pipe")]), "BACKUP_INVALID"],
    ["no backup.json", (folder) => rmSync(join(folder, "backup.json")), "BACKUP_INVALID"],
    ["half a backup.json", (folder) => truncateSync(join(folder, "backup.json"), 100), "BACKUP_INVALID"],
    [
      "a ledger from the future",
      (folder) => {
        const db = new Database(join(folder, "ledger.db"));
        db.pragma("user_version = 99990");
        db.close();
        rehash(folder, "ledger.db");
      },
      "DATABASE_NEWER",
    ],
    [
      "a package under another's id",
      (folder, id) => {
        const wrong = `${id.slice(0, -1)}${id.endsWith("0") ? "1" : "0"}`;
        cpSync(join(folder, "packages", id), join(folder, "packages", wrong), { recursive: true });
        rmSync(join(folder, "packages", id), { recursive: true });
        const file = join(folder, "backup.json");
        writeFileSync(file, readFileSync(file, "utf8").replaceAll(id, wrong));
      },
      "BACKUP_INVALID",
    ],
  ];
  function rehash(folder: string, name: string): void {
    const digest = execFileSync("sha256sum", [join(folder, name)], { encoding: "utf8" }).slice(0, 64);
    const file = join(folder, "backup.json");
    writeFileSync(
      file,
      readFileSync(file, "utf8").replace(new RegExp(`("${name}": ")[0-9a-f]{64}`), `$1${digest}`),
    );
  }

  test.each(damages)("with %s is refused, and nothing is restored", async (_, damage, code) => {
    const { folder, held } = await backedUp();
    damage(folder, held.id);
    const restored = await other("restored");
    expect(failureIn(await restored.restore({ from: folder })).code).toBe(code);
    expect(valueIn(await restored.engagementList({}))).toEqual([]);
    expect(readdirSync(room.path("restored/packages"))).toEqual([]);
    expect(readdirSync(room.path("restored")).filter((name) => name.startsWith("."))).toEqual([]);
  });

  test("that cannot be written leaves nothing and does not stand in the log", async () => {
    await room.build("ev");
    writeFileSync(room.path("file"), "");
    expect(failureIn(await room.vault.backup({ to: room.path("file") })).code).toBe("PATH_EXISTS");
    const outcome = await room.vault.backup({ to: room.path("backups") }, { signal: AbortSignal.abort() });
    expect(failureIn(outcome).code).toBe("CANCELLED");
    expect(existsSync(room.path("backups")) ? readdirSync(room.path("backups")) : []).toEqual([]);
    const ledger = new Database(join(room.home, "ledger.db"));
    const events = ledger
      .prepare("SELECT count(*) FROM custody_events WHERE type = 'backup-made'")
      .pluck()
      .get();
    ledger.close();
    expect(events).toBe(0);
  });
});
