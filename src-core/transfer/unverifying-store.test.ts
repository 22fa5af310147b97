import { expect, test } from "vitest";
import { StoreCredentials } from "../credentials/store-credentials.ts";
import { AmazonLike } from "../vault/amazon-like-fixtures.ts";
import { fakeStore } from "../vault/fake-store-fixtures.ts";
import { createS3Vault } from "../vault/s3-vault.ts";
import { failureOf, memorySource, scratch } from "../vault/vault-fixtures.ts";
import { pushPackage } from "./push-package.ts";
import {
  archiveBytes,
  KEYS,
  makeWorkplace,
  openLedger,
  PART,
  pushOptions,
  sealOf,
} from "./transfer-fixtures.ts";

test.each<readonly [string, RegExp]>([
  ["the archive", /\.tar$/],
  ["the manifest", /manifest\.json$/],
])(
  "where the store checks no digests, %s that was damaged on its way is not called stored",
  async (_, damages) => {
    using folder = scratch();
    makeWorkplace(folder.path);
    const db = openLedger(folder.path);
    const amazon = new AmazonLike({ ignoresDigests: true, ignoresChecksums: true, damages });
    await using store = await fakeStore((request, response) => amazon.answer(request, response));
    const credentials = async () => new StoreCredentials({ accessKeyId: "AKID", secretAccessKey: "secret" });
    const vault = createS3Vault(store.settings, credentials, await store.vault.health());
    // Of one part: S3 takes no parts as small as those of the fixtures.
    const bytes = archiveBytes().subarray(0, PART);
    const archive = memorySource(bytes);
    const failure = await failureOf(
      pushPackage(pushOptions(folder.path, db, archive, { vault, ...sealOf(bytes) })),
    );
    expect(failure).toMatchObject({ code: "DIGEST_MISMATCH" });
    expect(await vault.head(KEYS.seal)).toBeNull();
    vault.close();
    db.close();
  },
);
