import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { EXPORT_FORMATS } from "../src-contract/vault-api.ts";
import { Desk } from "./run-cli.ts";
import { FaultProxy } from "./support/fault-proxy.ts";
import { freshBucket, testStore } from "./support/test-store.ts";

const ENGAGEMENT = "acme-2026";
const INVOICE = "data/evidence/invoices/0007.csv";

let proxy: FaultProxy;
let field: Desk;
let office: Desk;
let ids: string[];
let taken = 0;

/** Another device with the same bucket as its vault, seen through the proxy. */
async function engage(desk: Desk, bucket: string): Promise<void> {
  const where = ["--bucket", bucket, "--endpoint", proxy.endpoint, "--credentials", "env"];
  await desk.value("vault", "add", "s3", "lake", ...where);
  await desk.value("engagement", "create", ENGAGEMENT, "--vault", "lake");
}

beforeAll(async () => {
  const { accessKeyId, secretAccessKey } = testStore().facts;
  process.env.AWS_ACCESS_KEY_ID = accessKeyId;
  process.env.AWS_SECRET_ACCESS_KEY = secretAccessKey;
  proxy = await FaultProxy.open(testStore());
  [field, office] = [await Desk.open(), await Desk.open()];
  const bucket = await freshBucket();
  for (const desk of [field, office]) await engage(desk, bucket);
  for (let i = 0; i < 40; i++)
    await field.write(`evidence/invoices/${String(i).padStart(4, "0")}.csv`, `number,${i}\n`.repeat(i + 1));
  await field.write("evidence/recording.bin", Buffer.alloc(20 * 1024 * 1024, "recorded"));
  ids = [];
  for (const name of ["week-1", "week-2"]) {
    const id = await field.build(ENGAGEMENT, name, "evidence");
    await field.value("package", "push", id);
    ids.push(id);
  }
}, 120_000);
afterAll(async () => {
  await proxy.close();
  await field.close();
  await office.close();
});

/** All that a person can ask of the packages without their bytes, as it is printed, and every export's content. */
async function answers(desk: Desk): Promise<Record<string, string>> {
  const questions = [["package", "list"]];
  for (const id of ids) {
    questions.push(
      ["package", "show", id],
      ["package", "files", id],
      ["package", "files", id, "--search", "0007"],
    );
  }
  const answered: Record<string, string> = {};
  for (const question of questions)
    for (const form of [[], ["--json"]]) {
      const { exitCode, out, err } = await desk.run([...question, ...form]);
      answered[[...question, ...form].join(" ")] = `${exitCode}\n${out}\n${err}`;
    }
  for (const id of ids)
    for (const format of EXPORT_FORMATS)
      answered[`export ${id} ${format}`] = await exported(desk, id, format);
  return answered;
}

async function exported(desk: Desk, id: string, format: string): Promise<string> {
  const out = desk.path(`export-${++taken}`);
  await desk.value("manifest", "export", id, "--format", format, "--out", out);
  return await readFile(out, "utf8");
}

async function offline<T>(work: () => Promise<T>): Promise<T> {
  await proxy.goOffline();
  try {
    return await work();
  } finally {
    await proxy.goOnline();
  }
}

let known: Record<string, string>;

test("a second home syncs, goes offline, and lists, searches and exports every manifest", async () => {
  const { exitCode, out } = await office.run(["sync"]);
  expect(exitCode, out).toBe(0);
  expect(out).toMatch(/ENGAGEMENT +VAULT +SENT +NEW +STORED +PROBLEMS/);
  expect(out).toMatch(/acme-2026 +lake +0 +2 +2 +0 +synced/);
  known = await offline(() => answers(office));
  for (const id of ids) {
    expect(known["package list"]).toContain(id);
    expect(known[`package files ${id} --search 0007`]).toContain(INVOICE);
    for (const format of EXPORT_FORMATS)
      expect(known[`export ${id} ${format}`]).toBe(await exported(field, id, format));
  }
}, 300_000);

test("offline, what needs the store says that it cannot be reached and what can be done without", async () => {
  const [id = ""] = ids;
  await offline(async () => {
    expect((await office.failure("sync")).code).toBe("VAULT_UNREACHABLE");
    for (const more of [[], ["--file", INVOICE]]) {
      const failure = await office.failure("package", "pull", id, "--to", office.path("offline"), ...more);
      expect(failure.code).toBe("VAULT_UNREACHABLE");
      expect(failure.message).toContain(
        "is not on this device but in vault lake, which cannot be reached now",
      );
    }
  });
}, 120_000);

test("a deleted catalog is learnt again, and every answer is the same to the byte", async () => {
  for (const name of ["catalog.db", "catalog.db-wal", "catalog.db-shm"])
    await rm(join(office.home, name), { force: true });
  expect(await office.value("sync", ENGAGEMENT)).toMatchObject({ engagements: [{ added: ids, stored: 2 }] });
  expect(await offline(() => answers(office))).toEqual(known);
}, 300_000);

test("back online, it pulls and verifies a single file, of which alone the bytes are fetched", async () => {
  const [id = ""] = ids;
  proxy.forget();
  const pulled = await office.value("package", "pull", id, "--to", office.path("one"), "--file", INVOICE);
  const content = await readFile(String(pulled.path));
  expect(content).toEqual(await readFile(field.path("evidence/invoices/0007.csv")));
  const asked = proxy.exchanges.filter(({ key }) => key.includes(id));
  expect(asked.map(({ operation }) => operation)).toEqual(["head", "get"]);
  expect(asked.map(({ sent }) => sent)).toEqual([0, content.length]);
});

test("back online, it pulls and verifies a whole package, and what the vault holds", async () => {
  const [, id = ""] = ids;
  const pulled = await office.value("package", "pull", id, "--to", office.path("whole"));
  expect(await office.value("verify", String(pulled.path))).toMatchObject({ verdict: "valid" });
  expect(await office.value("verify", id, "--remote", "--full")).toMatchObject({ verdict: "valid" });
}, 120_000);

test("what was learnt is not fetched again", async () => {
  proxy.forget();
  await office.value("sync");
  expect(proxy.exchanges.map(({ operation }) => operation)).toEqual(["head", "list"]);
});
