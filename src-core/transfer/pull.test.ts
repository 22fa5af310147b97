import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Progress } from "../../src-contract/progress.ts";
import { failureIn, filesBelow, valueIn, Workroom } from "../testing/workroom.ts";
import { mounted, needsMount } from "../vault/vault-fixtures.ts";

let room: Workroom;
beforeEach(async () => {
  room = await Workroom.open();
});
afterEach(() => room.close());

test.each([
  ["held here", false],
  ["fetched from the vault", true],
] as const)(
  "of two pulls of one package to one place, %s, one does it and the other says that it is busy",
  async (_, fetched) => {
    room.write("ev/a", Buffer.alloc(3_000_000, 7));
    const { id } = await room.build("ev", fetched ? { mode: "reference" } : {});
    await room.addVault();
    valueIn(await room.vault.packagePush({ package: id }));
    const pull = (as: "bag" | "tar") => room.vault.packagePull({ package: id, to: room.path("to"), as });
    const [first, second] = await Promise.all([pull("bag"), pull("tar")]);
    const outcomes = [first, second];
    expect(outcomes.filter(({ ok }) => ok)).toHaveLength(1);
    const refused = outcomes.find(({ ok }) => !ok);
    expect(refused === undefined ? null : failureIn(refused).code).toBe("BUSY");
    expect(readdirSync(room.path("to")).filter((name) => name.startsWith("."))).toEqual([]);
  },
);

/** A package of 3 MB in a vault, by reference: it is pulled from there. */
async function inVault(): Promise<string> {
  room.write("ev/a", Buffer.alloc(3_000_000, 7));
  const { id } = await room.build("ev", { mode: "reference" });
  vaultFolder = await room.addVault();
  valueIn(await room.vault.packagePush({ package: id }));
  return id;
}

let vaultFolder: string;

/** Whoever fetches from the vault after this finds nothing right. */
function ruinVault(): void {
  const archives = filesBelow(vaultFolder).filter((name) => name.endsWith(".tar"));
  expect(archives).toHaveLength(1);
  for (const name of archives) {
    const file = join(vaultFolder, name);
    writeFileSync(file, Buffer.alloc(statSync(file).size));
  }
}

/** Runs something once all of the archive has come. */
const whenReceived = (work: () => void) => ({
  onProgress: ({ phase, done, total }: Progress) => {
    if (phase === "receive" && done === total) work();
  },
});

test("a file that took the place meanwhile is never taken for what was pulled", async () => {
  const id = await inVault();
  const to = room.path("to");
  const foreign = join(to, "site-a.tar");
  const pull = (options = {}) => room.vault.packagePull({ package: id, to, as: "tar" }, options);
  const taking = whenReceived(() => writeFileSync(foreign, "mine"));
  expect(failureIn(await pull(taking))).toMatchObject({ code: "PATH_EXISTS", subject: foreign });
  for (const name of readdirSync(to)) if (name.startsWith(".")) rmSync(join(to, name), { recursive: true });
  expect(failureIn(await pull())).toMatchObject({ code: "PATH_EXISTS", subject: foreign });
  expect(readFileSync(foreign, "utf8")).toBe("mine");
  rmSync(foreign);
  expect(valueIn(await pull()).path).toBe(foreign);
});

test.each(["tar", "bag"] as const)(
  "what a killed process was just gathering is not fetched again: %s",
  async (as) => {
    const id = await inVault();
    const to = room.path("to");
    const pull = (form: "tar" | "bag") => room.vault.packagePull({ package: id, to, as: form });
    valueIn(await pull("tar"));
    const gathered = join(to, `.strongroom-pull-${id}`, "gathered-x");
    mkdirSync(join(gathered, "site-a"), { recursive: true });
    writeFileSync(join(gathered, "site-a", "half"), "a bag that was unpacked");
    for (const name of readdirSync(to))
      if (!name.startsWith(".")) renameSync(join(to, name), join(gathered, name));
    ruinVault();
    const { path } = valueIn(await pull(as));
    expect(valueIn(await room.vault.verify({ target: path, full: true })).verdict).toBe("valid");
    expect(readdirSync(to).sort()).toEqual(
      [as === "tar" ? "site-a.tar" : "site-a", "site-a.seal.json"].sort(),
    );
  },
);

test("room for the bag is asked for before anything is fetched; when it goes while the archive comes, the archive is kept", async ({
  skip,
}) => {
  needsMount(skip);
  const id = await inVault();
  const to = room.path("to");
  mkdirSync(to);
  const pull = (options = {}) => room.vault.packagePull({ package: id, to, as: "bag" }, options);
  {
    using _mount = mounted(to, "-t", "tmpfs", "-o", "size=5m", "tmpfs");
    expect(failureIn(await pull()).code).toBe("DISK_FULL");
    expect(readdirSync(to)).toEqual([]);
  }
  using _mount = mounted(to, "-t", "tmpfs", "-o", "size=8m", "tmpfs");
  const filler = join(to, "filler");
  const filling = whenReceived(() => writeFileSync(filler, Buffer.alloc(3_000_000)));
  expect(failureIn(await pull(filling)).code).toBe("DISK_FULL");
  rmSync(filler);
  ruinVault();
  valueIn(await pull());
  expect(readdirSync(to).filter((name) => name.startsWith("."))).toEqual([]);
  expect(valueIn(await room.vault.verify({ target: join(to, "site-a") })).verdict).toBe("valid");
});

// Linux alone tells which file a descriptor is of.
test.runIf(process.platform === "linux")("all of a bag is synced before it gets its place", async () => {
  room.write("ev/a", "x");
  room.write("ev/deep/er/b", "y");
  mkdirSync(room.path("ev/empty"));
  const { id } = await room.build("ev");
  const handle = await open(room.path("ev/a"));
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  const synced = new Set<string>();
  const sync = prototype.sync;
  const spy = vi.spyOn(prototype, "sync").mockImplementation(function (this: FileHandle) {
    const path = readlinkSync(`/proc/self/fd/${this.fd}`);
    const inBag = path.split("/site-a/")[1] ?? (path.endsWith("/site-a") ? "." : null);
    if (inBag !== null) synced.add(inBag);
    return sync.call(this);
  });
  const pulled = valueIn(await room.vault.packagePull({ package: id, to: room.path("to") }));
  spy.mockRestore();
  const folders = [".", "data", "data/ev", "data/ev/deep", "data/ev/deep/er", "data/ev/empty"];
  expect([...synced].sort()).toEqual([...filesBelow(pulled.path), ...folders].sort());
  expect(filesBelow(pulled.path)).toContain(join("data", "ev", "deep", "er", "b"));
});
