import type { Failure } from "../../src-contract/failure.ts";
import type { ParsedRequest } from "../../src-contract/vault-api.ts";
import { fail } from "../failing.ts";
import { type S3Settings, s3Location } from "./s3-settings.ts";

/** Amazon's own hosts, its endpoints for private networks and for China among them. */
const AMAZON = /\.amazonaws\.com(\.cn)?$/;
const LOOPBACK = /^(localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

/** What a request says of a bucket. Throws INVALID_INPUT for what does not go together. */
export function settingsOf(request: ParsedRequest<"vaultAddS3">): S3Settings {
  const { name, bucket, region, prefix, storageClass, encryption, kmsKey } = request;
  if (kmsKey !== undefined && encryption !== "aws:kms") {
    throw fail(
      "INVALID_INPUT",
      "A KMS key is used only with encryption aws:kms.",
      "Give --encryption aws:kms too, or leave --kms-key out.",
      { subject: "kmsKey" },
    );
  }
  const endpoint = request.endpoint === undefined ? null : endpointUrl(request.endpoint);
  return {
    name,
    bucket,
    endpoint: endpoint?.origin ?? null,
    region,
    prefix: prefix ?? null,
    pathStyle: request.pathStyle ?? (endpoint !== null && !AMAZON.test(endpoint.hostname)),
    storageClass: storageClass ?? null,
    encryption,
    kmsKey: kmsKey ?? null,
  };
}

/** One form for one endpoint: host in lower case, no port that is the scheme's own, no `/` at the end. */
function endpointUrl(text: string): URL {
  try {
    return new URL(text);
  } catch (cause) {
    throw fail(
      "INVALID_INPUT",
      `${text} is no address of a store.`,
      "Write it as https://host or https://host:port.",
      {
        subject: "endpoint",
        cause,
      },
    );
  }
}

/** What the owner of evidence should know of these settings. */
export function settingsWarnings(settings: S3Settings): readonly Failure[] {
  const { endpoint } = settings;
  if (endpoint === null || !isPlainHttp(new URL(endpoint))) return [];
  return [
    {
      code: "VAULT_UNFIT",
      message: `${s3Location(settings)} is reached without encryption: everyone on the way can read the evidence that is sent and received.`,
      nextStep: "Use the store's https:// address, unless the way to it is protected otherwise (VPN).",
      subject: endpoint,
    },
  ];
}

/** Without TLS over a network that others may listen to. */
function isPlainHttp({ protocol, hostname }: URL): boolean {
  return protocol === "http:" && !LOOPBACK.test(hostname);
}
