import { freshBucket, testStore } from "../../e2e/support/test-store.ts";
import type { VaultHealth } from "../../src-contract/vault-api.ts";
import { openTestVault, s3Place, settingsFor } from "./s3-fixtures.ts";
import { MIN_PART_BYTES } from "./s3-settings.ts";
import { describeVault } from "./vault-contract-fixtures.ts";

describeVault("a vault in S3 of which nothing is known", MIN_PART_BYTES, async () =>
  s3Place(testStore(), await bucket(), null),
);

describeVault("a vault in S3 that was probed", MIN_PART_BYTES, async () =>
  s3Place(testStore(), await bucket(), await health()),
);

let shared: Promise<string> | undefined;
function bucket(): Promise<string> {
  shared ??= freshBucket();
  return shared;
}

let known: Promise<VaultHealth> | undefined;
async function health(): Promise<VaultHealth> {
  known ??= openTestVault(testStore(), settingsFor(testStore(), await bucket())).health();
  return known;
}
