import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { access, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Gateway } from "./radosgw.ts";
import { sessionKeys } from "./session-tokens.ts";
import { namedStore } from "./store-facts.ts";
import { freshBucket, testStore } from "./test-store.ts";

const RUN = fileURLToPath(new URL("run-radosgw.ts", import.meta.url));

let desk: string;
beforeAll(async () => {
  desk = await mkdtemp(join(tmpdir(), "strongroom-e2e-"));
});
afterAll(() => rm(desk, { recursive: true, force: true }));

/** The error code of a request that must be refused. */
async function refusal(client: S3Client, bucket: string): Promise<string> {
  try {
    await client.send(new ListObjectsV2Command({ Bucket: bucket }));
  } catch (error) {
    return error instanceof Error ? error.name : String(error);
  }
  throw new Error("the request was allowed");
}

/** The command lines of all processes that name this text. */
async function processesNaming(text: string): Promise<string[]> {
  const found: string[] = [];
  for (const id of (await readdir("/proc")).filter((name) => /^[0-9]+$/.test(name))) {
    // A process that ended meanwhile has no command line any more.
    const line = await readFile(`/proc/${id}/cmdline`, "utf8").catch(() => "");
    if (line.includes(text)) found.push(line.replaceAll("\0", " "));
  }
  return found;
}

test("holds what is put into a bucket, versions included", async () => {
  const store = testStore();
  const bucket = await freshBucket({ versioning: true });
  const first = await store.client.send(new PutObjectCommand({ Bucket: bucket, Key: "a", Body: "one" }));
  await store.client.send(new PutObjectCommand({ Bucket: bucket, Key: "a", Body: "two" }));
  const read = async (VersionId?: string) =>
    await (
      await store.client.send(new GetObjectCommand({ Bucket: bucket, Key: "a", VersionId }))
    ).Body?.transformToString();
  expect(await read()).toBe("two");
  expect(await read(first.VersionId)).toBe("one");
});

test("its users can be refused in every way that a store refuses", async ({ skip }) => {
  const store = testStore();
  const admin = store.admin;
  skip(admin === undefined, "needs a radosgw of our own");
  if (admin === undefined) return;
  const bucket = await freshBucket();
  const uid = `user-${randomUUID()}`;
  const first = await admin.createUser(uid);
  expect(await refusal(store.clientFor(first), bucket)).toBe("AccessDenied");
  const changed = await admin.changeSecret(uid, first.accessKeyId);
  expect(await refusal(store.clientFor(first), bucket)).toBe("SignatureDoesNotMatch");
  expect(await refusal(store.clientFor(changed), bucket)).toBe("AccessDenied");
  const second = await admin.addKeys(uid);
  await admin.removeKeys(uid, first.accessKeyId);
  expect(await refusal(store.clientFor(changed), bucket)).toBe("InvalidAccessKeyId");
  await admin.suspendUser(uid);
  expect(await refusal(store.clientFor(second), bucket)).toBe("UserSuspended");
  await admin.enableUser(uid);
  expect(await refusal(store.clientFor(second), bucket)).toBe("AccessDenied");
});

test("a second gateway goes and comes back at its address while the store keeps what it holds", async ({
  skip,
}) => {
  const store = testStore();
  const folder = store.facts.cephFolder;
  skip(folder === undefined, "needs a radosgw of our own");
  if (folder === undefined) return;
  const bucket = await freshBucket();
  const gateway = await Gateway.open(folder);
  const client = store.clientFor(store.facts, gateway.endpoint);
  try {
    await client.send(new PutObjectCommand({ Bucket: bucket, Key: "a", Body: "kept" }));
    await gateway.stop();
    expect(await refusal(client, bucket)).toMatch(/ECONNREFUSED|AggregateError|Error/);
    await gateway.start();
    const read = await client.send(new GetObjectCommand({ Bucket: bucket, Key: "a" }));
    expect(await read.Body?.transformToString()).toBe("kept");
  } finally {
    await gateway.stop();
  }
});

test("gives session tokens that are needed with their keys", async ({ skip }) => {
  const store = testStore();
  const folder = store.facts.cephFolder;
  skip(folder === undefined, "needs a radosgw of our own");
  if (folder === undefined) return;
  const bucket = await freshBucket();
  const gateway = await Gateway.open(folder, { sts: true });
  try {
    const { sessionToken, ...keys } = await sessionKeys(store, gateway);
    await store
      .clientFor({ ...keys, sessionToken }, gateway.endpoint)
      .send(new PutObjectCommand({ Bucket: bucket, Key: "a", Body: "with a token" }));
    expect(await refusal(store.clientFor(keys, gateway.endpoint), bucket)).toBe("AccessDenied");
  } finally {
    await gateway.stop();
  }
});

test("a store whose owner is killed leaves neither process nor folder; two run side by side", async () => {
  const factsFile = join(desk, "facts.json");
  const owner = spawn(process.execPath, [RUN, factsFile, "1"], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(owner, "exit");
  try {
    await once(owner.stdout, "data");
    expect((await stat(factsFile)).mode & 0o777).toBe(0o600);
    const facts = await namedStore({ STRONGROOM_TEST_S3: factsFile });
    expect(facts?.endpoint).not.toBe(testStore().facts.endpoint);
    const folder = facts?.cephFolder ?? "";
    const daemons = await processesNaming(folder);
    expect(daemons.map((line) => line.split(" ")[0]).sort()).toEqual(
      ["ceph-mgr", "ceph-mon", "ceph-osd", "radosgw", "sh"].sort(),
    );
    expect(daemons.join("\n")).not.toContain(facts?.secretAccessKey);
    owner.kill("SIGKILL");
    await ended;
    await expect.poll(() => processesNaming(folder), { timeout: 20_000 }).toEqual([]);
    await expect(access(folder)).rejects.toThrow("ENOENT");
  } finally {
    owner.kill("SIGKILL");
    await ended;
  }
});

test("a store described wrongly is refused by the name of the field, without its values", async () => {
  const described = JSON.stringify({ endpoint: "http://127.0.0.1:1", region: "r", secretAccessKey: "hush" });
  const refused = namedStore({ STRONGROOM_TEST_S3: described });
  await expect(refused).rejects.toThrow("wrong or missing: accessKeyId");
  await expect(refused).rejects.not.toThrow("hush");
});
