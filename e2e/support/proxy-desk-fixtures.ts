import { GetObjectCommand, PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { afterEach, beforeAll, beforeEach } from "vitest";
import { FaultProxy } from "./fault-proxy.ts";
import type { S3Store } from "./s3-store.ts";
import { freshBucket, testStore } from "./test-store.ts";

/** 300,000 bytes in which ranges that lie side by side differ. */
export const BODY = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 251));

interface Desk {
  readonly store: S3Store;
  readonly bucket: string;
  readonly proxy: FaultProxy;
  /** Knows only the proxy. */
  readonly client: S3Client;
}

/** For a file of tests: a bucket, and before each test a proxy in front of the store. To be read in tests and hooks only. */
export function useProxyDesk(): Desk {
  let bucket = "";
  let desk: Desk | undefined;
  const at = () => {
    if (desk === undefined) throw new Error("the proxy's desk is there in tests only");
    return desk;
  };
  beforeAll(async () => {
    bucket = await freshBucket();
  });
  beforeEach(async () => {
    const store = testStore();
    const proxy = await FaultProxy.open(store);
    desk = { store, bucket, proxy, client: store.clientFor(store.facts, proxy.endpoint) };
  });
  afterEach(async () => {
    at().client.destroy();
    await at().proxy.close();
  });
  return {
    get store() {
      return at().store;
    },
    get bucket() {
      return bucket;
    },
    get proxy() {
      return at().proxy;
    },
    get client() {
      return at().client;
    },
  };
}

export function put({ client, bucket }: Desk, Key: string, Body: Buffer = BODY) {
  const ContentLength = Body.length;
  return client.send(new PutObjectCommand({ Bucket: bucket, Key, Body, ContentLength }));
}

export async function get({ client, bucket }: Pick<Desk, "client" | "bucket">, Key: string, Range?: string) {
  const answer = await client.send(new GetObjectCommand({ Bucket: bucket, Key, ...(Range && { Range }) }));
  const body = Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
  return { body, contentRange: answer.ContentRange, status: answer.$metadata.httpStatusCode };
}

/** What the store holds, asked without the proxy. */
export async function stored({ store, bucket }: Desk, key: string): Promise<Buffer | undefined> {
  try {
    return (await get({ client: store.client, bucket }, key)).body;
  } catch (error) {
    if (error instanceof Error && error.name === "NoSuchKey") return undefined;
    throw error;
  }
}

/** The name of the error that a request ends with. */
export async function errorOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return error instanceof Error ? error.name : String(error);
  }
  throw new Error("the request did not fail");
}
