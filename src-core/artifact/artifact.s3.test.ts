import {
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
} from "@aws-sdk/client-s3";
import { expect, test } from "vitest";
import { freshBucket, testStore } from "../../e2e/support/test-store.ts";
import { openVault } from "../open-vault.ts";
import { valueIn, Workroom } from "../testing/workroom.ts";
import { describeArtifacts } from "./artifact-fixtures.ts";

async function openPlace() {
  const store = testStore();
  const bucket = await freshBucket();
  const room = await Workroom.open();
  const { accessKeyId, secretAccessKey, endpoint } = store.facts;
  const env = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
  const vault = valueIn(await openVault({ home: room.home, env }));
  valueIn(await vault.vaultAddS3({ name: "lake", bucket, endpoint, prefix: "team/x", credentials: "env" }));
  valueIn(await vault.engagementSetVault({ id: Workroom.ENGAGEMENT, vault: "lake" }));
  return {
    room,
    vault,
    bucket,
    name: "lake",
    tellsLater: false,
    async putByHand(key: string, Body: Uint8Array, digest?: string) {
      const Metadata: Record<string, string> = digest === undefined ? {} : { sha256: digest };
      await store.client.send(new PutObjectCommand({ Bucket: bucket, Key: `team/x/${key}`, Body, Metadata }));
    },
    async everything() {
      const { Versions = [] } = await store.client.send(new ListObjectVersionsCommand({ Bucket: bucket }));
      const { Uploads = [] } = await store.client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
      const keys = [...Versions, ...Uploads].map(({ Key }) => (Key ?? "").slice("team/x/".length));
      return keys.filter((key) => key.startsWith("campaigns/"));
    },
    async [Symbol.asyncDispose]() {
      await vault.close();
      await room.close();
    },
  };
}

describeArtifacts("artifacts in an S3 vault", openPlace);

test("other programs find the digest and the media type with the object", async () => {
  await using place = await openPlace();
  const { vault, room, bucket } = place;
  const put = valueIn(
    await vault.artifactPut({ audit: "acme-2026", phase: "01_recon", file: room.write("hosts.json", "{}") }),
  );
  const head = await testStore().client.send(
    new HeadObjectCommand({ Bucket: bucket, Key: `team/x/${put.key}` }),
  );
  expect(head).toMatchObject({ ContentType: "application/json", Metadata: { sha256: put.sha256 } });
});
