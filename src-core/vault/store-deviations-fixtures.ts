import type { IncomingMessage, ServerResponse } from "node:http";
import { refuse } from "./fake-store-fixtures.ts";

/** For tests only: where a store differs from Amazon's. */
export interface Deviations {
  /** Takes bodies whose digest is another. */
  readonly ignoresDigests?: boolean;
  /** Flips a bit of what is sent for these keys, as a line or a gateway may; with `ignoresDigests` nobody sees it. */
  readonly damages?: RegExp;
  /** The same as `ignoresDigests`, of parts alone. */
  readonly ignoresDigestsOfParts?: boolean;
  /** Takes bodies whose checksum is another, and keeps none. */
  readonly ignoresChecksums?: boolean;
  readonly ignoresIfNoneMatch?: boolean;
  /** Says of every request with If-None-Match that it does not implement that, as Backblaze B2. */
  readonly refusesIfNoneMatch?: boolean;
  /** Takes what is to be encrypted and keeps it as it is; or refuses it, or that of uploads in parts alone. */
  readonly encryption?: "ignored" | "ignored for parts" | "refused";
  /** Encrypts with this key, whichever is asked for. */
  readonly kmsKey?: string;
  /** An access key id with which one may only read. */
  readonly reader?: string;
  /** ETags are random, as with a KMS key. */
  readonly opaqueEtags?: boolean;
  /** Refuses bodies without MD5 or checksum, as under an object lock. */
  readonly wantsMd5?: boolean;
}

/** For tests only: how such a store keeps an object, as the headers that tell of it, or null when it has refused. */
export function keptAs(
  deviations: Deviations,
  { headers, url }: IncomingMessage,
  response: ServerResponse,
): Readonly<Record<string, string>> | null {
  const told = (name: string) => `${headers[name] ?? ""}`;
  const encryption = told("x-amz-server-side-encryption");
  const key = deviations.kmsKey ?? told("x-amz-server-side-encryption-aws-kms-key-id");
  const storageClass = told("x-amz-storage-class");
  if (encryption !== "" && deviations.encryption === "refused") {
    refuse(response, 400, "InvalidRequest", { message: "Server Side Encryption is not configured" });
    return null;
  }
  const ignored =
    deviations.encryption === "ignored" ||
    (deviations.encryption === "ignored for parts" && /[?&]uploads/.test(url ?? ""));
  return {
    ...(encryption === "" || ignored ? {} : { "x-amz-server-side-encryption": encryption }),
    ...(encryption !== "aws:kms" || ignored || key === ""
      ? {}
      : { "x-amz-server-side-encryption-aws-kms-key-id": key }),
    ...(storageClass === "" || storageClass === "STANDARD" ? {} : { "x-amz-storage-class": storageClass }),
  };
}
