import { inspect } from "node:util";

const HIDDEN = "[secret]";

/** What a vault's owner gives: an access key, and a session token where it is a temporary one. */
export interface AccessKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/**
 * Credentials as the AWS SDK takes them (its AwsCredentialIdentity). Printed, inspected or turned into JSON they show no secret; the SDK
 * reads the plain fields.
 */
export class StoreCredentials implements AccessKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  /** When they end; absent where that is not known. */
  readonly expiration?: Date;

  constructor(key: AccessKey, expiration?: Date) {
    this.accessKeyId = key.accessKeyId;
    this.secretAccessKey = key.secretAccessKey;
    if (key.sessionToken !== undefined) this.sessionToken = key.sessionToken;
    if (expiration !== undefined) this.expiration = expiration;
  }

  toString(): string {
    return HIDDEN;
  }

  toJSON(): string {
    return HIDDEN;
  }

  [inspect.custom](): string {
    return HIDDEN;
  }
}

/** What an AWS client of version 3 takes as `credentials`; it asks again before `expiration`. */
export type CredentialProvider = () => Promise<StoreCredentials>;

/**
 * Why a key cannot be used in a request, or null when it can. Keys and tokens travel in HTTP headers, where a line break or a space at the
 * end, as comes with copied text, would fail without saying so.
 */
export function keyFault(key: AccessKey): string | null {
  if (!/^[\x21-\x7e]+$/.test(key.accessKeyId)) return "the access key id has a character that no such id has";
  if (key.secretAccessKey === "") return "the secret access key is empty";
  if (/\p{Cc}|^\s|\s$/u.test(key.secretAccessKey)) {
    return "the secret access key has a line break, or a space at an end";
  }
  if (key.sessionToken !== undefined && !/^[\x21-\x7e]+$/.test(key.sessionToken)) {
    return "the session token has a character that no token has, such as a line break";
  }
  return null;
}
