import type { HealthProbe, VaultHealth } from "../../src-contract/vault-api.ts";

/** Whether a write that must replace nothing is one: some stores refuse the condition, some ignore it. */
export type CreateOnly = "honoured" | "not honoured" | "not known";

/** What an endpoint honours. Several stores take a header with 200 and ignore it, so that only what a probe has seen counts. */
export interface S3Capabilities {
  /** A body whose SHA-256 is not the `x-amz-content-sha256` of its request is refused. */
  readonly digestOnWrite: boolean;
  /** `If-None-Match: *` of PutObject. */
  readonly createOnly: CreateOnly;
  /** The same of CompleteMultipartUpload. */
  readonly createOnlyMultipart: CreateOnly;
  /** SHA-256 checksums are verified, kept and answered. */
  readonly checksums: boolean;
  /** ETags are MD5: of the bytes, and of the parts' MD5 for a multi-part object. */
  readonly etag: boolean;
}

/** As the last probe found; nothing is taken for granted where there was none. */
export function capabilitiesOf(known: VaultHealth | null): S3Capabilities {
  const result = (name: HealthProbe["name"]) => known?.probes.find((probe) => probe.name === name)?.result;
  const createOnly = (name: HealthProbe["name"]): CreateOnly => {
    const found = result(name);
    return found === "ok" ? "honoured" : found === "limited" ? "not honoured" : "not known";
  };
  const seen = (name: HealthProbe["name"]) => result(name) === "ok";
  return {
    digestOnWrite: seen("digest on write"),
    createOnly: createOnly("create only"),
    createOnlyMultipart: createOnly("create only, multipart"),
    checksums: seen("checksums"),
    etag: seen("etag"),
  };
}
