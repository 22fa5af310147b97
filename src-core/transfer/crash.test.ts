import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { failureOf, scratch } from "../vault/vault-fixtures.ts";
import { pullPackage } from "./pull-package.ts";
import { pushPackage } from "./push-package.ts";
import { runChild, startChild } from "./run-child.ts";
import {
  allFiles,
  archiveBytes,
  archiveOf,
  counting,
  makeWorkplace,
  openLedger,
  PART,
  pullOptions,
  pushOptions,
  SIZE,
  STORED_FILES,
  sealOf,
  storedArchive,
  vaultFiles,
  vaultOf,
  withMethod,
} from "./transfer-fixtures.ts";

/** Parts under way at once, in the child as in the product. */
const LANES = 2;

function journalledBytes(folder: string): number {
  const db = openLedger(folder);
  const bytes = db.prepare("SELECT coalesce(sum(size), 0) FROM transfer_parts").pluck().get() as number;
  db.close();
  return bytes;
}

test("a push that is killed at any moment can be run again: right in the end, never sealed early, little sent twice", async () => {
  using dry = scratch();
  makeWorkplace(dry.path);
  const { events, outcome } = await runChild("push", dry.path);
  expect(outcome).toBe("done false");
  expect(events).toBeGreaterThan(50);
  for (let killAt = 1; killAt < events; killAt += 3) {
    using at = scratch();
    makeWorkplace(at.path);
    const first = await runChild("push", at.path, String(killAt));
    expect(first.signal, `event ${killAt}`).toBe("SIGKILL");
    if (vaultFiles(at.path).includes("seal.json"))
      expect(vaultFiles(at.path)).toEqual(expect.arrayContaining(STORED_FILES));
    const kept = journalledBytes(at.path);
    const completed = vaultFiles(at.path).includes("site-a.tar");
    const db = openLedger(at.path);
    const archive = counting(await archiveOf(at.path));
    const pushed = await pushPackage(pushOptions(at.path, db, archive));
    await archive.close();
    db.close();
    expect(pushed.bytes).toBe(SIZE);
    expect(archive.count(), `event ${killAt}`).toBe(completed ? 0 : SIZE - kept);
    expect(storedArchive(at.path).equals(archiveBytes())).toBe(true);
    const files = vaultFiles(at.path);
    expect(new Set(files)).toEqual(new Set(STORED_FILES));
    expect(files.filter((name) => name.startsWith("."))).toEqual([]);
  }
}, 120_000);

test("no more than the parts that were under way is read twice", async () => {
  using at = scratch();
  makeWorkplace(at.path);
  const first = await runChild("push", at.path, "25");
  expect(first.signal).toBe("SIGKILL");
  expect(first.moved).toBeGreaterThan(0);
  const second = await runChild("push", at.path);
  expect(second.outcome).toBe("done false");
  // The second run also reads everything back once.
  const readBack = SIZE + readFileSync(join(at.path, "package", "manifest.json")).length;
  expect(first.moved + second.moved - readBack).toBeLessThanOrEqual(SIZE + LANES * PART);
});

test("a pull that is killed at any moment can be run again and never leaves a file that looks whole and is not", async () => {
  using at = scratch();
  makeWorkplace(at.path);
  await runChild("push", at.path);
  const { events, outcome } = await runChild("pull", at.path, "0", "dry.db");
  expect(outcome).toBe("done false");
  const folder = join(at.path, "pulled");
  for (let killAt = 1; killAt < events; killAt += 3) {
    for (const file of allFiles(folder)) rmSync(join(folder, file));
    const ledger = `pull-${killAt}.db`;
    expect((await runChild("pull", at.path, String(killAt), ledger)).signal, `event ${killAt}`).toBe(
      "SIGKILL",
    );
    if (allFiles(folder).includes("site-a.tar"))
      expect(readFileSync(join(folder, "site-a.tar")).equals(archiveBytes())).toBe(true);
    const db = openLedger(at.path, ledger);
    const kept = db.prepare("SELECT coalesce(sum(size), 0) FROM transfer_parts").pluck().get() as number;
    let fetched = 0;
    const vault = withMethod(
      vaultOf(at.path),
      "readRange",
      (readRange) =>
        async (object, offset, size, ...rest) => {
          if (object.size === SIZE) fetched += size;
          await readRange(object, offset, size, ...rest);
        },
    );
    await pullPackage(pullOptions(at.path, db, { vault }));
    db.close();
    expect(fetched, `event ${killAt}`).toBe(SIZE - kept);
    expect(allFiles(folder)).toEqual(["site-a.seal.json", "site-a.signatures/alice.dsse.json", "site-a.tar"]);
    expect(readFileSync(join(folder, "site-a.tar")).equals(archiveBytes())).toBe(true);
    expect(readFileSync(join(folder, "site-a.seal.json")).equals(sealOf(archiveBytes()).sealBytes)).toBe(
      true,
    );
  }
}, 120_000);

test("two processes that push at once: one does it, the other says so, and the vault is right", async () => {
  using at = scratch();
  makeWorkplace(at.path);
  openLedger(at.path).close();
  const outcomes = (await Promise.all([runChild("push", at.path), runChild("push", at.path)])).map(
    ({ outcome }) => outcome,
  );
  expect(outcomes.filter((outcome) => outcome === "done false")).toHaveLength(1);
  expect(outcomes.filter((outcome) => /^(done true|BUSY Process \d+ )/.test(outcome))).toHaveLength(1);
  expect(vaultFiles(at.path)).toEqual(STORED_FILES);
  expect(storedArchive(at.path).equals(archiveBytes())).toBe(true);
});

test("a process that holds a transfer is named; once it is killed its transfer is taken over at once", async () => {
  using at = scratch();
  makeWorkplace(at.path);
  const db = openLedger(at.path);
  const child = startChild("push", at.path);
  await new Promise((resolve) => child.stdout?.once("data", resolve));
  child.kill("SIGSTOP");
  const archive = await archiveOf(at.path);
  const busy = await failureOf(pushPackage(pushOptions(at.path, db, archive)));
  expect(busy.code).toBe("BUSY");
  expect(busy.message).toContain(`Process ${child.pid} `);
  child.kill("SIGKILL");
  await new Promise((resolve) => child.once("close", resolve));
  expect((await pushPackage(pushOptions(at.path, db, archive))).bytes).toBe(SIZE);
  await archive.close();
  db.close();
  expect(vaultFiles(at.path)).toEqual(STORED_FILES);
});
