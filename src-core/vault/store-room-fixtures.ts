import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ListObjectVersionsCommand, PutBucketPolicyCommand } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import { FaultProxy } from "../../e2e/support/fault-proxy.ts";
import type { StoreAdmin } from "../../e2e/support/store-admin.ts";
import type { StoreKeys } from "../../e2e/support/store-facts.ts";
import { freshBucket, testStore } from "../../e2e/support/test-store.ts";
import type { Request } from "../../src-contract/vault-api.ts";
import { TestKeychain } from "../credentials/keychain-fixtures.ts";
import { type OpenedVault, type OpenOptions, openVault } from "../open-vault.ts";
import { filesBelow, valueIn, Workroom } from "../testing/workroom.ts";

/** For tests only: the key of the store's owner. */
export function ownKey(): StoreKeys {
  const { accessKeyId, secretAccessKey } = testStore().facts;
  return { accessKeyId, secretAccessKey };
}

/** Whoever has this in the environment needs no keychain. */
export function keyInEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { accessKeyId, secretAccessKey } = ownKey();
  return { ...env, AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
}

/** Registers hooks that give each test a state folder and a bucket of its own, and the file one real keychain and a proxy before the store. */
export function storeRoom() {
  let keychain: TestKeychain;
  let proxy: FaultProxy;
  let room: Workroom;
  let bucket: string;
  let entriesBefore: number;
  const opened: OpenedVault[] = [];

  beforeAll(async () => {
    keychain = await TestKeychain.start();
    proxy = await FaultProxy.open(testStore());
  });
  afterAll(async () => {
    await proxy.close();
    await keychain.stop();
  });
  beforeEach(async () => {
    room = await Workroom.open();
    bucket = await freshBucket();
    entriesBefore = await keychain.entries();
    proxy.forget();
  });
  afterEach(async () => {
    for (const vault of opened.splice(0)) await vault.close();
    await room.close();
  });

  async function open(home: string, more: Partial<OpenOptions> = {}): Promise<OpenedVault> {
    const vault = valueIn(await openVault({ home, env: keychain.env, ...more }));
    opened.push(vault);
    return vault;
  }

  return {
    get keychain() {
      return keychain;
    },
    get proxy() {
      return proxy;
    },
    get room() {
      return room;
    },
    get bucket() {
      return bucket;
    },

    /** The state folder as another process sees it: nothing is open yet. */
    reopened: (more?: Partial<OpenOptions>) => open(room.home, more),
    /** Another device's state folder. */
    elsewhere: (name: string, more?: Partial<OpenOptions>) => open(room.path(name), more),

    /** Asks for a vault `lake` that is the whole bucket, with the owner's key. */
    request: (more: Partial<Request<"vaultAddS3">> = {}): Request<"vaultAddS3"> => ({
      name: "lake",
      bucket,
      endpoint: proxy.endpoint,
      ...ownKey(),
      ...more,
    }),

    /** Keys of all versions of all objects in the bucket. */
    async objects(): Promise<readonly string[]> {
      const page = await testStore().client.send(new ListObjectVersionsCommand({ Bucket: bucket }));
      return [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])].map(({ Key }) => Key ?? "");
    },

    /** Entries that the keychain has more than before the test. */
    secrets: async () => (await keychain.entries()) - entriesBefore,

    /** A user of the store who may do only this in the bucket. */
    async userWith(admin: StoreAdmin, ...actions: readonly string[]) {
      const uid = `limited-${randomBytes(4).toString("hex")}`;
      const keys = await admin.createUser(uid);
      const Policy = JSON.stringify({
        Version: "2012-10-17",
        Statement: [
          {
            Effect: "Allow",
            Principal: { AWS: [`arn:aws:iam:::user/${uid}`] },
            Action: actions,
            Resource: [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`],
          },
        ],
      });
      await testStore().client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }));
      return { ...keys, uid };
    },

    /** No file of the folder holds any of these secrets. */
    expectNoSecret(folder: string, ...secrets: readonly string[]): void {
      for (const file of filesBelow(folder)) {
        const bytes = readFileSync(join(folder, file));
        for (const secret of secrets) expect(bytes.includes(secret), `${file} holds a secret`).toBe(false);
      }
    },
  };
}

/** The store's users, for a test that needs others than its owner; the test is skipped where they cannot be made. */
export function adminOrSkip(skip: (condition: boolean, note: string) => void): StoreAdmin {
  const { admin } = testStore();
  skip(admin === undefined, "needs a radosgw of our own");
  if (admin === undefined) throw new Error("skipped above");
  return admin;
}
