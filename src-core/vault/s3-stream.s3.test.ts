import { HeadObjectCommand } from "@aws-sdk/client-s3";
import { expect, test } from "vitest";
import { freshBucket, testStore } from "../../e2e/support/test-store.ts";
import { openTestVault, s3Place, settingsFor } from "./s3-fixtures.ts";
import { describeStreams } from "./stream-fixtures.ts";
import { collect } from "./vault-fixtures.ts";

describeStreams("a vault in S3 of which nothing is known", async () =>
  s3Place(testStore(), await freshBucket(), null),
);

describeStreams("a vault in S3 that was probed", async () => {
  const bucket = await freshBucket();
  const known = await openTestVault(testStore(), settingsFor(testStore(), bucket)).health();
  return s3Place(testStore(), bucket, known);
});

async function* zeros(bytes: number): AsyncGenerator<Uint8Array> {
  const piece = new Uint8Array(64 * 1024);
  for (let at = 0; at < bytes; at += piece.length)
    yield piece.subarray(0, Math.min(piece.length, bytes - at));
}

test("what other programs see of a streamed object: its media type and its digest", async () => {
  const bucket = await freshBucket();
  const vault = openTestVault(testStore(), settingsFor(testStore(), bucket));
  for (const size of [10, 20 * 1024 * 1024]) {
    const key = `c/${size}.json`;
    const { sha256 } = await vault.putStream(key, zeros(size), { contentType: "application/json" });
    const seen = await testStore().client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
    expect(seen).toMatchObject({ ContentType: "application/json", Metadata: { sha256 } });
  }
  vault.close();
});

test("in a bucket that keeps versions no version of the temporary object stays", async () => {
  const store = testStore();
  const bucket = await freshBucket({ versioning: true });
  const vault = openTestVault(store, settingsFor(store, bucket));
  const streamed = await vault.putStream("c/x.bin", zeros(20 * 1024 * 1024));
  expect(streamed).toMatchObject({ already: false, leftUndone: [] });
  expect((await collect(vault.list(""))).map(({ key }) => key)).toEqual(["c/x.bin"]);
  const { ListObjectVersionsCommand } = await import("@aws-sdk/client-s3");
  const { Versions, DeleteMarkers } = await store.client.send(
    new ListObjectVersionsCommand({ Bucket: bucket }),
  );
  expect((Versions ?? []).map(({ Key }) => Key)).toEqual(["c/x.bin"]);
  expect(DeleteMarkers ?? []).toEqual([]);
  vault.close();
});
