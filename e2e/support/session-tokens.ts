import { randomBytes } from "node:crypto";
import { fromTemporaryCredentials } from "@aws-sdk/credential-providers";
import type { Gateway } from "./radosgw.ts";
import type { S3Store } from "./s3-store.ts";
import type { StoreKeys } from "./store-facts.ts";

/** Keys that hold only together with their token and only for a time. */
export interface SessionKeys extends StoreKeys {
  readonly sessionToken: string;
}

/**
 * Keys with a session token that may do everything for 15 minutes, the shortest that STS gives, at a gateway opened with
 * `sts`. They come from a user of their own who takes on a role of their own.
 */
export async function sessionKeys(store: S3Store, gateway: Gateway): Promise<SessionKeys> {
  const admin = store.admin;
  if (admin === undefined) throw new Error("only a radosgw of our own gives out session tokens");
  const name = `session-${randomBytes(4).toString("hex")}`;
  const masterCredentials = await admin.createUser(name);
  const RoleArn = await admin.createRole(name, name);
  const take = fromTemporaryCredentials({
    masterCredentials,
    params: { RoleArn, RoleSessionName: name, DurationSeconds: 900 },
    clientConfig: { endpoint: gateway.endpoint, region: store.facts.region },
  });
  const { accessKeyId, secretAccessKey, sessionToken } = await take();
  if (sessionToken === undefined) throw new Error("the gateway gave keys without a token");
  return { accessKeyId, secretAccessKey, sessionToken };
}
