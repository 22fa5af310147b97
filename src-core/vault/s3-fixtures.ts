import { randomBytes } from "node:crypto";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import type { S3Store } from "../../e2e/support/s3-store.ts";
import type { VaultHealth } from "../../src-contract/vault-api.ts";
import { StoreCredentials } from "../credentials/store-credentials.ts";
import { S3_LIMITS, type S3Limits, type S3Settings } from "./s3-settings.ts";
import { createS3Vault, type S3Vault } from "./s3-vault.ts";
import type { VaultPlace } from "./vault-contract-fixtures.ts";

/** For tests only: the settings of a bucket of a test store. */
export function settingsFor(store: S3Store, bucket: string, more: Partial<S3Settings> = {}): S3Settings {
  return {
    name: "test-vault",
    bucket,
    endpoint: store.facts.endpoint,
    region: store.facts.region,
    prefix: null,
    pathStyle: true,
    storageClass: null,
    encryption: "none",
    kmsKey: null,
    ...more,
  };
}

/** The vault as its owner opens it, or over another endpoint, such as a proxy's. */
export function openTestVault(
  store: S3Store,
  settings: S3Settings,
  known: VaultHealth | null = null,
  limits: S3Limits = S3_LIMITS,
): S3Vault {
  return createS3Vault(settings, async () => new StoreCredentials(store.facts), known, limits);
}

/** A place of its own in a bucket, under a prefix; `known` as for `createS3Vault`. */
export async function s3Place(
  store: S3Store,
  bucket: string,
  known: VaultHealth | null,
): Promise<VaultPlace> {
  const prefix = `place/${randomBytes(6).toString("hex")}`;
  const settings = settingsFor(store, bucket, { prefix });
  const opened: S3Vault[] = [];
  const again = () => {
    const vault = openTestVault(store, settings, known);
    opened.push(vault);
    return vault;
  };
  return {
    vault: again(),
    again,
    replace: async (key, bytes) => {
      await store.client.send(new PutObjectCommand({ Bucket: bucket, Key: `${prefix}/${key}`, Body: bytes }));
    },
    [Symbol.asyncDispose]: async () => {
      for (const vault of opened) vault.close();
    },
  };
}
