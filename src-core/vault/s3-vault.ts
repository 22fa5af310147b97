import type { VaultHealth } from "../../src-contract/vault-api.ts";
import type { CredentialProvider } from "../credentials/store-credentials.ts";
import { fail } from "../failing.ts";
import type { ExpectedBytes, ObjectInfo, Vault } from "../ports.ts";
import { capabilitiesOf } from "./s3-capabilities.ts";
import { StoreClient } from "./s3-client.ts";
import { s3Completes } from "./s3-complete.ts";
import { probeStore } from "./s3-health.ts";
import { s3Lists } from "./s3-list.ts";
import { s3Reads } from "./s3-read.ts";
import {
  MAX_PART_BYTES,
  MAX_PARTS,
  S3_LIMITS,
  type S3Limits,
  type S3Settings,
  s3Location,
} from "./s3-settings.ts";
import { s3Streams } from "./s3-stream.ts";
import { attestObject } from "./s3-tags.ts";
import { s3Uploads } from "./s3-upload.ts";
import { s3Writes } from "./s3-write.ts";

export interface S3Vault extends Vault {
  /** Cuts all connections; requests under way end as cut. */
  close(): void;
}

/**
 * A vault in a bucket of Amazon S3 or of a store that speaks its protocol. `known` is the result of its last `health`: what an endpoint was not
 * seen to honour is made up for by requests and hashing of our own. No request is made and nothing of the SDK is loaded before the first call.
 */
export function createS3Vault(
  settings: S3Settings,
  credentials: CredentialProvider,
  known: VaultHealth | null,
  limits: S3Limits = S3_LIMITS,
): S3Vault {
  const client = new StoreClient(settings, credentials, limits);
  const can = capabilitiesOf(known);
  const reads = s3Reads(client, can);
  const uploads = s3Uploads(client, can);
  const where = s3Location(settings);
  const objects = {
    ...reads,
    ...s3Writes(client, can, reads),
    ...s3Lists(client),
    ...uploads,
    ...s3Completes(client, can, { ...reads, ...uploads }),
    attest: (object: ObjectInfo, expected: ExpectedBytes) => attestObject(can, object, expected),
  };

  return {
    kind: "s3",
    location: where,
    lanes: { first: 4, most: 16 },
    ...objects,
    ...s3Streams(client, can, objects),

    // A bucket has no end but its owner's quota, which no request tells.
    async requireRoom(size) {
      if (size <= MAX_PARTS * MAX_PART_BYTES) return;
      throw fail(
        "VAULT_UNFIT",
        `The archive has ${size} bytes; an object in S3 holds at most ${MAX_PARTS * MAX_PART_BYTES}.`,
        "Seal the evidence as several packages.",
        { subject: where, details: { size } },
      );
    },

    health: () => probeStore(client),

    close: () => client.close(),
  };
}
