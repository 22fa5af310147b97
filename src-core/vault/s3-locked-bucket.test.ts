import type { IncomingMessage, ServerResponse } from "node:http";
import { expect, test } from "vitest";
import { openVault } from "../open-vault.ts";
import { valueIn, Workroom } from "../testing/workroom.ts";
import { AmazonLike } from "./amazon-like-fixtures.ts";
import { fakeStore, refuse } from "./fake-store-fixtures.ts";

const LOCK = `<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>
  <Mode>GOVERNANCE</Mode><Days>30</Days></DefaultRetention></Rule></ObjectLockConfiguration>`;

/** A store like Amazon's whose bucket locks every object; each deletion of a version is refused with the next of these words, the last one over again. */
function lockedStore(...words: readonly string[]) {
  const amazon = new AmazonLike();
  return fakeStore((request: IncomingMessage, response: ServerResponse) => {
    const query = new URL(request.url ?? "", "http://store").searchParams;
    if (query.has("object-lock")) {
      request.resume();
      return response.end(LOCK);
    }
    if (request.method === "DELETE" && query.has("versionId")) {
      request.resume();
      const bypass = request.headers["x-amz-bypass-governance-retention"] === "true";
      return refuse(response, 403, "AccessDenied", { message: words[bypass ? 1 : 0] ?? "" });
    }
    if (request.method !== "GET") response.setHeader("x-amz-version-id", "v1");
    return amazon.answer(request, response);
  });
}

const LOCKED = "Access Denied because object protected by object lock.";
const DENIED = "User: arn:aws:iam::1:user/x is not authorized to perform: s3:";

test.each([
  ["in its own words", LOCKED],
  ["without a word", "Access Denied"],
  ["as IAM does", `${DENIED}BypassGovernanceRetention on resource: "arn:aws:s3:::bucket/x"`],
])(
  "a lock that holds is no fault of the bucket, and names what would be needed; refused %s",
  async (_how, words) => {
    await using store = await lockedStore(LOCKED, words);
    const { probes } = await store.vault.health();
    const [deletion, lock] = ["delete", "object lock"].map((name) => probes.find((one) => one.name === name));
    expect([deletion?.result, lock?.result]).toEqual(["ok", "ok"]);
    expect(deletion?.detail).toContain("stays in the bucket");
    expect(deletion?.detail).toContain("s3:BypassGovernanceRetention is missing");
    expect(deletion?.detail).not.toContain("s3:DeleteObjectVersion");
  },
);

test.each([
  ["a lock that holds is not warned of", `${DENIED}BypassGovernanceRetention`, []],
  [
    "a right that is missing besides is warned of",
    `${DENIED}DeleteObjectVersion`,
    [expect.stringContaining("s3:DeleteObjectVersion is missing")],
  ],
])("adding a bucket that locks every object: %s", async (_what, words, warnings) => {
  await using store = await lockedStore(words, words);
  const room = await Workroom.open();
  const env = { AWS_ACCESS_KEY_ID: "AKID", AWS_SECRET_ACCESS_KEY: "secret" };
  const vault = valueIn(await openVault({ home: room.home, env }));
  try {
    const { bucket, endpoint } = store.settings;
    const added = await vault.vaultAddS3({
      name: "lake",
      bucket,
      endpoint: endpoint ?? "",
      credentials: "env",
    });
    valueIn(added);
    const told = (added.ok ? (added.warnings ?? []) : []).map(({ message }) => message);
    expect(told.filter((message) => message.includes("delete"))).toEqual(warnings);
  } finally {
    await vault.close();
    await room.close();
  }
});

test("what came in of a large stream stays there until its lock ends, and that is told", async () => {
  await using store = await lockedStore(LOCKED, LOCKED);
  async function* stream() {
    for (let piece = 0; piece < 17; piece++) yield Buffer.alloc(1024 * 1024, piece);
  }
  const { already, leftUndone } = await store.vault.putStream("campaigns/a/01_recon/x.bin", stream());
  expect(already).toBe(false);
  expect(leftUndone.map(({ message }) => message)).toEqual([expect.stringContaining("is locked")]);
  expect(leftUndone[0]?.nextStep).toContain("s3:BypassGovernanceRetention");
});
